"""Questions, and answers that lead to the passages they rest on."""

import pytest
from playwright.sync_api import expect

from tests.browser.tab import Tab

pytestmark = pytest.mark.timeout(300)


def test_an_answer_is_written_and_its_citation_leads_to_the_passage(tab: Tab, places: dict[str, str]) -> None:
    page = tab.page
    tab.open(f"ask?kb={places['kb']}")
    page.get_by_label("Your question").fill("What is granite?")
    expect(page.get_by_role("button", name="Ask", exact=True)).to_be_enabled()  # the knowledge bases are known
    page.keyboard.press("Enter")
    expect(page.locator(".answer-text")).to_contain_text("The stones are of granite")
    page.get_by_role("button", name="Source 1").click()
    source = page.locator("#passage-1")
    expect(source).to_be_focused()
    expect(source).to_contain_text("cited")
    source.get_by_role("link", name="Show in the document").click()
    expect(page.locator(".chunk[data-chosen]")).to_be_visible()
