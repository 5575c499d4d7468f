"""The door: a key that the page makes, keeps and asks for. On a service of its own, as it stays closed afterwards."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from tests.browser.tab import Tab
from tests.faults.mill import API, Mill, Role

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def api_alone() -> Iterator[Mill]:
    """Redis and the API, and nobody who works."""
    with Mill() as started:
        started.redis.start()
        started.start(Role.API, API)
        yield started


def test_a_key_is_made_and_from_then_on_asked_for(chromium: Browser, context: BrowserContext, api_alone: Mill) -> None:
    tab = Tab(context.new_page(), api_alone.url)
    page = tab.page
    tab.open("operations?tab=keys")
    page.get_by_role("button", name="Make a key").click()
    page.get_by_label("Name", exact=True).fill("page")
    page.get_by_role("dialog").get_by_role("button", name="Make a key").click()
    key = page.get_by_role("dialog").locator("code").first.inner_text()
    expect(page.get_by_role("dialog")).to_contain_text("This page uses it from now on")
    page.get_by_role("dialog").locator("footer").get_by_role("button", name="Close").click()
    expect(page.get_by_role("cell", name="administer")).to_be_visible()

    elsewhere = chromium.new_context(locale="en-US")
    other = Tab(elsewhere.new_page(), api_alone.url)
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
    elsewhere.close()
    assert tab.errors == other.errors == []
