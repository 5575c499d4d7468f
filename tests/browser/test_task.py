"""A task step by step, live, as it was at any fact, cancelled and tried again."""

import re
from typing import Final

import pytest
from playwright.sync_api import expect

from domain.status import TaskPhase
from tests.browser.elsewhere import Answer, Receiver
from tests.browser.tab import WORKER, Tab
from tests.e2e.api import Api
from tests.faults.mill import API, Mill
from tests.servers.embedding_provider import EmbeddingProvider
from tests.waiting import poll

WAITS: Final = re.compile(r"Waits for the next attempt · in \d")
RETRY_AFTER_S: Final = 5
"""Long enough to be seen counting down."""

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


def test_a_step_that_waits_says_why_and_counts_down_to_its_next_attempt(tab: Tab, api: Api, hook: Receiver) -> None:
    """An address that is busy for a while."""
    page = tab.page
    hook.pages = [Answer(503, {"retry-after": str(RETRY_AFTER_S)}), Answer(200, {}, b"Grain waits for its turn.")]
    kb = api.create("busy address")
    accepted = api.http.post(f"/knowledge-bases/{kb}/documents/import", json={"urls": [hook.url]})
    assert accepted.status_code == 202, accepted.text
    tab.open(f"tasks/{accepted.json()['task_id']}")
    said = page.locator(".said-small.waiting")
    expect(said).to_contain_text(WAITS)
    earlier = said.inner_text()
    expect(page.locator('.stages [data-state="waiting"]')).to_contain_text("Fetch")
    expect(page.locator(".said-small.error")).to_contain_text("Fetch: The address did not answer as it should")
    expect(said).not_to_have_text(earlier)
    expect(page.locator(".head .badge", has_text="completed")).to_be_visible()
    expect(page.locator(".stages")).to_contain_text("×2")
    expect(said).to_have_count(0)
    expect(page.locator(".story")).to_contain_text("again at")


def test_a_task_that_waits_for_a_provider_is_cancelled(tab: Tab, api: Api, provider: EmbeddingProvider) -> None:
    page = tab.page
    provider.script = [lambda _: (429, {"Retry-After": "200"}, b"{}")]
    kb = api.create("limited", settings={"embedding_model": "openai"})
    tab.open(f"tasks/{api.upload(kb, [('grain.txt', b'Grain waits in vain.')])}")
    expect(page.locator(".said-small.waiting")).to_contain_text(WAITS)
    expect(page.locator(".said-small.error")).to_contain_text("Embed: The provider asked for a pause")
    page.get_by_role("button", name="中文").click()
    expect(page.locator(".said-small.error")).to_contain_text("服务商要求稍后再试")
    page.get_by_role("button", name="取消任务").click()
    page.get_by_role("dialog").get_by_role("button", name="取消任务").click()
    expect(page.locator(".head .badge", has_text="已取消")).to_be_visible()


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
