"""From a file in the browser to a passage that is found, also where the page is reloaded meanwhile."""

import re
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import BrowserContext, Route, expect

from tests.browser.tab import Tab
from tests.e2e.api import Api

SAMPLES: Final = Path(__file__).resolve().parents[2] / "samples"
PIECE_BYTES: Final = 8 * 1024 * 1024

pytestmark = pytest.mark.timeout(300)


def test_a_person_makes_a_knowledge_base_uploads_files_and_finds_a_passage(tab: Tab) -> None:
    page = tab.page
    tab.open("knowledge-bases")
    page.get_by_role("button", name="Create a knowledge base").first.click()
    page.get_by_label("Name", exact=True).fill("Handbooks")
    page.get_by_role("dialog").get_by_role("button", name="Create a knowledge base").click()
    expect(page.get_by_role("heading", name="Handbooks")).to_be_visible()

    page.get_by_role("main").get_by_role("link", name="Upload").first.click()
    page.get_by_test_id("files").set_input_files([SAMPLES / "safety-handbook.pdf", SAMPLES / "石磨养护规程.pdf"])
    expect(page.locator('.upload[data-state="accepted"]')).to_contain_text("2 accepted")
    page.get_by_role("link", name="Watch it being processed").first.click()
    expect(page.locator(".head .badge", has_text="completed")).to_be_visible()
    expect(page.locator('.stages [data-state="done"]')).to_have_count(8)

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
