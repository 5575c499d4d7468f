"""The page as a person uses it: a real browser, a real mill behind it, the files of the program and nothing else."""

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, BrowserContext, Route, ViewportSize, expect

from domain.status import TaskPhase
from tests.browser.conftest import WAIT_MS, WORKER, Tab
from tests.e2e.api import Api
from tests.faults.mill import API, Mill
from tests.waiting import poll

SAMPLES: Final = Path(__file__).resolve().parents[2] / "samples"
PIECE_BYTES: Final = 8 * 1024 * 1024
HOSTILE: Final = (
    "<img src=x onerror=window.hit=1><script>window.hit=1</script> [go](javascript:window.hit=1) "
    "<svg onload=window.hit=1> {{constructor.constructor('window.hit=1')()}} granite &lt;b&gt;"
)
HOSTILE_NAME: Final = "<img src=x onerror=window.hit=1>.md"
PLACES: Final = (
    "upload",
    "tasks",
    "tasks/{task}",
    "knowledge-bases",
    "knowledge-bases/{kb}",
    "knowledge-bases/{kb}?tab=settings",
    "knowledge-bases/{kb}/documents/{document}",
    "search?q=granite",
    "ask?q=granite&kb={kb}",
    "operations",
    "operations?tab=dead-letters",
    "operations?tab=webhooks",
    "operations?tab=keys",
    "operations?tab=health",
)
TELEPHONE: Final = ViewportSize(width=390, height=844)
WIDE: Final = ViewportSize(width=1280, height=900)
expect.set_options(timeout=WAIT_MS)

pytestmark = pytest.mark.timeout(300)  # a browser beside seven busy processes on two cores takes its time


@pytest.fixture(scope="module")
def places(api: Api) -> dict[str, str]:
    """A knowledge base with a document that wishes us ill, in text, name and metadata."""
    kb = api.create(f"Stones {HOSTILE}"[:200], description=HOSTILE)
    body = {"text": f"# {HOSTILE}\n\n{HOSTILE}", "filename": HOSTILE_NAME, "options": {"metadata": {"note": HOSTILE}}}
    accepted = api.http.post(f"/knowledge-bases/{kb}/documents/import", json=body)
    assert accepted.status_code == 202, accepted.text
    task = accepted.json()["task_id"]
    assert api.ended(task).status is TaskPhase.COMPLETED
    return {"kb": kb, "task": task, "document": accepted.json()["documents"][0]["document_id"]}


def test_a_person_makes_a_knowledge_base_uploads_files_and_finds_a_passage(tab: Tab) -> None:
    page = tab.page
    tab.open("knowledge-bases")
    page.get_by_role("button", name="Create a knowledge base").first.click()
    page.get_by_label("Name", exact=True).fill("Handbooks")
    page.get_by_role("dialog").get_by_role("button", name="Create a knowledge base").click()
    expect(page.get_by_role("heading", name="Handbooks")).to_be_visible()

    page.get_by_role("main").get_by_role("link", name="Upload").first.click()
    page.get_by_test_id("files").set_input_files([SAMPLES / "safety-handbook.pdf", SAMPLES / "石磨养护规程.pdf"])
    expect(page.locator('.upload[data-state="accepted"]')).to_have_count(2)
    page.get_by_role("link", name="Watch it being processed").first.click()
    expect(page.locator(".head .badge", has_text="completed")).to_be_visible()
    expect(page.locator('.stages [data-state="done"]')).to_have_count(4)

    tab.open("upload")
    page.get_by_test_id("files").set_input_files([SAMPLES / "safety-handbook.pdf"])
    expect(page.get_by_text("The same content was there already.").first).to_be_visible()

    tab.open("search")
    page.get_by_role("searchbox").fill("dust explosion")
    page.keyboard.press("Enter")
    passage = page.locator(".passage").first
    expect(passage).to_contain_text("Flour dust explodes")
    expect(passage.locator("mark").first).to_have_text(re.compile("dust", re.IGNORECASE))
    passage.get_by_role("link", name="Show in the document").click()
    expect(page.locator(".text mark")).to_contain_text("Flour dust explodes")
    expect(page.locator(".chunk[data-chosen]")).to_be_visible()


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


def test_an_upload_goes_on_after_the_page_was_reloaded(
    tab: Tab, context: BrowserContext, api: Api, tmp_path: Path
) -> None:
    page, kb = tab.page, api.create("interrupted")
    large = tmp_path / "large.txt"
    large.write_bytes(b"A line about grain.\n" * (PIECE_BYTES // 20 + 100_000))
    offsets: list[str] = []

    def hold(route: Route) -> None:
        """The first piece goes through with the creation; further ones wait until the page is gone."""

    context.route("**/api/v1/uploads/*", hold)
    tab.open(f"upload?kb={kb}")
    with page.expect_request(lambda request: request.method == "PATCH"):
        page.get_by_test_id("files").set_input_files(large)
    page.reload()
    context.unroute("**/api/v1/uploads/*")
    expect(page.get_by_test_id("interrupted")).to_contain_text("large.txt")
    page.on(
        "request",
        lambda request: offsets.append(request.headers.get("upload-offset", "")) if request.method == "PATCH" else None,
    )
    page.get_by_test_id("files").set_input_files(large)
    expect(page.locator('.upload[data-state="accepted"]')).to_be_visible()
    assert offsets[0] == str(PIECE_BYTES), "what had arrived is not sent again"
    expect(page.get_by_test_id("interrupted")).to_have_count(0)


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


def test_a_hostile_document_is_shown_as_text_and_runs_nothing(tab: Tab, places: dict[str, str]) -> None:
    page = tab.page
    for place in PLACES:
        tab.open(place.format(**places))
        expect(page.locator(".loading")).to_have_count(0)
        if "{" in place and not place.startswith("ask"):
            expect(page.locator("main")).to_contain_text("onerror=window.hit")
        assert page.evaluate("window.hit") is None, place
        assert page.locator("main img, main script").count() == 0, place
    tab.open("search?q=granite")
    expect(page.locator(".passage").first).to_contain_text("<script>window.hit=1</script>")


def test_an_answer_is_written_and_its_citation_leads_to_the_passage(tab: Tab, places: dict[str, str]) -> None:
    page = tab.page
    tab.open(f"ask?kb={places['kb']}")
    page.get_by_label("Your question").fill("What is granite?")
    page.keyboard.press("Enter")
    expect(page.locator(".answer-text")).to_contain_text("The stones are of granite")
    page.get_by_role("button", name="Source 1").click()
    source = page.locator("#passage-1")
    expect(source).to_be_focused()
    expect(source).to_contain_text("cited")
    source.get_by_role("link", name="Show in the document").click()
    expect(page.locator(".chunk[data-chosen]")).to_be_visible()


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


@pytest.mark.parametrize(("scheme", "size"), [("light", WIDE), ("dark", TELEPHONE)], ids=["light", "dark"])
def test_no_view_has_a_serious_finding_of_axe(
    tab: Tab, axe: str, places: dict[str, str], scheme: Any, size: Any
) -> None:
    page = tab.page
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.set_viewport_size(size)
    found: dict[str, list[str]] = {}
    tab.open("upload")
    page.evaluate(axe)
    for place in PLACES:
        tab.open(place.format(**places))
        expect(page.locator(".loading")).to_have_count(0)
        told = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
        serious = [one for one in told["violations"] if one["impact"] in {"serious", "critical"}]
        if serious:
            where = [(one["id"], [node["target"] for node in one["nodes"]][:3]) for one in serious]
            found[place] = [f"{rule}: {json.dumps(targets)}" for rule, targets in where]
    assert found == {}


def test_the_language_is_that_of_the_browser_until_somebody_chooses(
    chromium: Browser, mill: Mill, places: dict[str, str]
) -> None:
    context = chromium.new_context(locale="zh-CN", viewport=TELEPHONE)
    tab = Tab(context.new_page(), mill.url)
    tab.open("tasks")
    expect(tab.page.get_by_role("heading", name="任务", exact=True)).to_be_visible()
    assert tab.page.locator("html").get_attribute("lang") == "zh-CN"
    tab.page.get_by_role("button", name="English").click()
    tab.page.reload()
    expect(tab.page.get_by_role("heading", name="Tasks", exact=True)).to_be_visible()
    for place in PLACES:
        tab.open(place.format(**places))
        width = tab.page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390, f"{place} is wider than a telephone"
    assert tab.errors == []
    context.close()


def test_a_key_is_made_and_from_then_on_asked_for(tab: Tab, chromium: Browser, mill: Mill) -> None:
    """The last of this file: it closes the door behind the others."""
    page = tab.page
    tab.open("operations?tab=keys")
    page.get_by_role("button", name="Make a key").click()
    page.get_by_label("Name", exact=True).fill("page")
    page.get_by_role("dialog").get_by_role("button", name="Make a key").click()
    key = page.get_by_role("dialog").locator("code").first.inner_text()
    expect(page.get_by_role("dialog")).to_contain_text("This page uses it from now on")
    page.get_by_role("dialog").locator("footer").get_by_role("button", name="Close").click()
    expect(page.get_by_role("cell", name="administer")).to_be_visible()

    context = chromium.new_context(locale="en-US")
    other = Tab(context.new_page(), mill.url)
    other.open("tasks")
    dialog = other.page.get_by_role("dialog")
    expect(dialog).to_contain_text("This service asks for a key.")
    dialog.get_by_label("Your key").fill(key)
    dialog.get_by_role("button", name="Use this key").click()
    expect(other.page.locator('.live[data-state="live"]')).to_be_visible()
    assert key not in other.page.url
    other.page.reload()
    expect(other.page.locator('.live[data-state="live"]')).to_be_visible()
    expect(other.page.get_by_role("dialog")).to_have_count(0)
    context.close()
