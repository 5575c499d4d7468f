"""A task step by step, live, as it was at any fact, cancelled and tried again."""

import pytest
from playwright.sync_api import expect

from domain.status import TaskPhase
from tests.browser.tab import WORKER, Tab
from tests.e2e.api import Api
from tests.faults.mill import API, Mill
from tests.waiting import poll

pytestmark = pytest.mark.timeout(300)


def test_a_stream_goes_on_by_itself_after_the_api_was_killed(tab: Tab, mill: Mill, api: Api) -> None:
    page = tab.page
    mill.stop(WORKER)
    try:
        task = api.upload(api.create("cut off"), [("grain.txt", b"Grain is stored dry.")])
        tab.open(f"tasks/{task}")
        expect(page.locator('.live[data-state="live"]')).to_be_visible()
        mill.kill(API)
        expect(page.locator('.live[data-state="reconnecting"]')).to_be_visible()
        mill.revive(API)
    finally:
        mill.cont(WORKER)
    expect(page.locator(".head .badge", has_text="completed")).to_be_visible()


def test_a_task_is_cancelled_and_what_failed_is_tried_again(tab: Tab, mill: Mill, api: Api) -> None:
    page, kb = tab.page, api.create("second thoughts")
    mill.stop(WORKER)
    try:
        task = api.upload(kb, [("later.txt", b"Never mind.")])
        tab.open(f"tasks/{task}")
        page.get_by_role("button", name="Cancel the task").click()
        page.get_by_role("dialog").get_by_role("button", name="Cancel the task").click()
        expect(page.locator(".document .badge", has_text="cancelled")).to_be_visible()
    finally:
        mill.cont(WORKER)
    expect(page.locator(".head .badge", has_text="cancelled")).to_be_visible()
    broken = api.upload(kb, [("broken.pdf", b"%PDF-1.7 and nothing else")])
    poll(lambda: api.task(broken).status is TaskPhase.FAILED, "the document fails", 60)
    tab.open(f"tasks/{broken}")
    expect(page.locator(".said-small.error")).to_be_visible()
    page.get_by_role("button", name="Retry", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Retry", exact=True).click()
    expect(page.get_by_role("heading", name="Retry of a document")).to_be_visible()


def test_the_history_shows_the_task_as_it_was_at_any_fact(tab: Tab, places: dict[str, str]) -> None:
    page = tab.page
    tab.open(f"tasks/{places['task']}")
    slider = page.get_by_role("slider", name="As of")
    slider.focus()
    page.keyboard.press("Home")
    then = page.get_by_test_id("as-of")
    expect(then).to_contain_text("After fact 1 of")
    expect(then.locator(".badge")).to_have_text("queued")
    page.keyboard.press("End")
    expect(then).to_contain_text("As it is now")
    expect(then.locator(".badge")).to_have_text("completed")
