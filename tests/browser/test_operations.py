"""The view of whoever runs the mill."""

import re
from datetime import datetime

import pytest
from playwright.sync_api import Locator, Page, expect
from standardwebhooks import Webhook

from domain.status import TaskPhase
from tests.browser.elsewhere import Receiver
from tests.browser.tab import Tab
from tests.e2e.api import Api
from tests.faults.mill import Mill
from tests.waiting import poll

pytestmark = pytest.mark.timeout(300)

MENU_MAX = 20
"""Of `parts/choose_knowledge_base.js`: with "All" among them."""


def test_failures_are_tried_again_by_a_query_that_is_tried_first(tab: Tab, api: Api) -> None:
    page, kb = tab.page, api.create("failures")
    task = api.upload(kb, [("broken.pdf", b"%PDF-1.7 and nothing else")])
    assert api.ended(task).status is TaskPhase.FAILED
    tab.open(f"operations?tab=dead-letters&kb={kb}")
    expect(page.get_by_role("link", name="broken.pdf")).to_be_visible()
    page.get_by_role("button", name="Retry all of these").click()
    expect(page.get_by_role("dialog")).to_contain_text("Nothing has been done yet.")
    assert len(api.documents(task)) == 1
    page.get_by_role("dialog").get_by_role("button", name="Retry 1").click()
    expect(page.get_by_role("dialog")).to_contain_text("on its way again")
    page.get_by_role("dialog").get_by_role("link").first.click()
    expect(page.get_by_role("heading", name="Retry of a document")).to_be_visible()


def test_failures_are_meant_by_reason_step_knowledge_base_and_time(tab: Tab, api: Api) -> None:
    page, kb = tab.page, api.create("several failures")
    files = [("broken.pdf", b"%PDF-1.7 and nothing else"), ("empty.md", b" \n"), ("fine.txt", b"Fine flour.")]
    task = api.upload(kb, files)
    assert api.ended(task).status is TaskPhase.PARTIAL
    tab.open("operations?tab=dead-letters")
    _choose_knowledge_base(page, api, "several failures")
    expect(page.get_by_role("link", name="empty.md")).to_be_visible()
    expect(page.get_by_text("Could not be read").first).to_be_visible()
    page.get_by_label("Step").select_option("Read")
    page.get_by_label("Failed since").fill("2020-01-02T03:04")
    page.get_by_role("button", name="parse_failed").click()
    expect(page.get_by_role("link", name="empty.md")).to_have_count(0)
    with page.expect_request("**/dead-letters/retry") as sent:
        page.get_by_role("button", name="Retry all of these").click()
    body = sent.value.post_data_json or {}
    assert datetime.fromisoformat(body.pop("since")).year == 2020
    assert body == {"code": "parse_failed", "step": "parse", "knowledge_base": kb, "dry_run": True}
    expect(page.get_by_role("dialog")).to_contain_text("1 document would go on")
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    page.get_by_label("Failed since").fill("2100-01-01T00:00")
    expect(page.get_by_text("Nothing has failed")).to_be_visible()


def test_what_reprocessing_would_change_is_shown_before_it_is_done(tab: Tab, api: Api) -> None:
    page, kb = tab.page, api.create("cut again")
    text = b"# Stones\n\n" + b"Each stone is dressed twice a year. The furrows are cut with a pick. " * 12
    api.completed(kb, [("stones.md", text), ("other.md", b"Another text altogether.")])
    tab.open(f"operations?tab=reprocess&kb={kb}")
    page.get_by_label("Name contains").fill("stones")
    page.get_by_label("From", exact=True).select_option("Cut")
    page.get_by_label("How documents are cut").select_option("in a way of their own")
    page.get_by_label("Way of cutting").select_option("By sentences")
    page.get_by_label("Largest passage, tokens").fill("64")
    page.get_by_label("Overlap, tokens").fill("0")
    page.get_by_role("button", name="Show what would change").click()
    tried = page.get_by_test_id("tried")
    expect(tried).to_contain_text("1 document would be processed again")
    for name in ("Passages now", "Passages afterwards", "Vectors reused", "Tokens to embed"):
        expect(tried.locator("div", has=page.get_by_text(name, exact=True)).locator("dd")).to_have_text(
            re.compile(r"^\d+$")
        )
    assert len(list(api.http.get("/tasks", params={"knowledge_base": kb}).json()["data"])) == 1
    tried.get_by_role("button", name="Process 1 again").click()
    page.get_by_role("link", name="Watch it being processed").click()
    expect(page.get_by_role("heading", name="Reprocessing of a document")).to_be_visible()
    expect(page.locator(".head .badge", has_text="completed")).to_be_visible()


def test_the_log_is_archived_and_the_archive_verified(tab: Tab, api: Api, mill: Mill) -> None:
    page = tab.page
    api.completed(api.create("to keep"), [("kept.txt", b"What is written stays.")])
    tab.open("operations?tab=archive")
    page.get_by_role("button", name="Archive now").click()
    poll(lambda: api.http.get("/archive").json()["waiting_events"] == 0, "the projector has archived", 30)
    expect(page.get_by_role("button", name="Archive now")).to_be_disabled()
    page.get_by_role("button", name="Verify all").click()
    verification = page.get_by_test_id("verification")
    expect(verification).to_contain_text("All is as it was written")
    expect(page.locator(".badge", has_text="sound").first).to_be_visible()

    segment = min((mill.data_dir / "blobs" / "archive").rglob("*.seg"))
    sound = segment.read_bytes()
    try:
        segment.write_bytes(sound[:-5] + bytes([sound[-5] ^ 16]) + sound[-4:])
        page.get_by_role("button", name="Verify all").click()
        expect(verification).to_contain_text("1 place is not as it was written")
        expect(verification).to_contain_text(segment.name)
        expect(page.locator(".badge", has_text="damaged")).to_be_visible()
    finally:
        segment.write_bytes(sound)


def test_a_webhook_is_made_called_and_called_again(tab: Tab, hook: Receiver) -> None:
    page = tab.page
    tab.open("operations?tab=webhooks")
    page.get_by_role("button", name="Add a webhook").first.click()
    page.get_by_label("Address").fill(hook.url)
    page.get_by_role("dialog").get_by_label("task.finished").check()
    page.get_by_role("dialog").get_by_role("button", name="Add a webhook").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("shown this once")
    secret = dialog.locator("code").inner_text()
    dialog.locator("footer").get_by_role("button", name="Close").click()
    expect(page.locator("main")).not_to_contain_text(secret)

    row = page.locator("tr", has_text=hook.url)
    expect(row).to_contain_text("task.finished")
    row.get_by_role("button", name="Send a test").click()
    poll(lambda: len(hook.received) == 1, "the test has arrived", 30)
    message = hook.received[0]
    assert Webhook(secret).verify(message.body, message.headers)["type"] == "webhook.test"
    delivery = deliveries(page).first
    look_again_until(page, "delivered")
    expect(delivery).to_contain_text("200")
    hook.status = 503
    delivery.get_by_role("button", name="Send again").click()
    poll(lambda: len(hook.received) == 2, "it has arrived again", 30)
    assert hook.received[1].headers["webhook-id"] == message.headers["webhook-id"]
    look_again_until(page, "503")
    expect(delivery).to_contain_text("next")

    row.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(row).to_have_count(0)


def deliveries(page: Page) -> Locator:
    return page.locator("section", has=page.locator("#deliveries-title")).locator("tbody tr")


def look_again_until(page: Page, said: str) -> None:
    """The log of deliveries is looked at when somebody asks."""

    def is_said() -> bool:
        with page.expect_response("**/deliveries**"):
            page.get_by_role("button", name="Look again").click()
        return said in deliveries(page).first.inner_text()

    poll(is_said, f"the log says {said}", 30)


def test_health_names_what_the_service_stands_on(tab: Tab) -> None:
    tab.open("operations?tab=health")
    expect(tab.page.get_by_role("heading", name="Everything answers")).to_be_visible()
    expect(tab.page.locator(".health .badge", has_text="ready")).to_have_count(2)


def _choose_knowledge_base(page: Page, api: Api, name: str) -> None:
    """From a menu, or where the other tests have made more than fit into one, by typing."""
    field = page.get_by_role("combobox", name="Knowledge base")
    if api.http.get("/knowledge-bases").json()["total"] + 1 > MENU_MAX:
        expect(field).to_have_attribute("aria-autocomplete", "list")
        field.click()
        field.press_sequentially(name)
        page.get_by_role("option", name=name).click()
    else:
        field.select_option(name)
