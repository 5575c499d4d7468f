"""The view of whoever runs the mill."""

import pytest
from playwright.sync_api import expect

from domain.status import TaskPhase
from tests.browser.tab import Tab
from tests.e2e.api import Api

pytestmark = pytest.mark.timeout(300)


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
