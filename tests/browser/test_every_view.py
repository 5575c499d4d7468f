"""What holds in each view: hostile documents are text, axe-core finds nothing serious, a telephone is wide enough."""

import json
from typing import Any

import pytest
from playwright.sync_api import Browser, ViewportSize, expect

from tests.browser.places import PLACES
from tests.browser.tab import Tab
from tests.faults.mill import Mill

TELEPHONE = ViewportSize(width=360, height=740)
WIDE = ViewportSize(width=1920, height=1080)

pytestmark = pytest.mark.timeout(300)


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
        if page.evaluate("document.documentElement.scrollWidth") > size["width"]:
            found[f"{place} is wider than the window"] = []
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
        assert width <= 360, f"{place} is wider than a telephone"
    assert tab.errors == []
    context.close()


def test_a_reader_of_chinese_is_told_in_chinese_why_a_document_failed_and_how_long_a_task_took(
    chromium: Browser, mill: Mill, places: dict[str, str]
) -> None:
    context = chromium.new_context(locale="zh-CN", viewport=ViewportSize(width=1280, height=900))
    tab = Tab(context.new_page(), mill.url)
    for place in ("knowledge-bases/{kb}?status=failed", "operations?tab=dead-letters&kb={kb}"):
        tab.open(place.format(**places))
        expect(tab.page.locator(".table .error-text").first).to_contain_text("无法读取")
        when = tab.page.locator(".table tbody td:has(a.nowrap)").first
        assert when.evaluate("cell => cell.querySelector('a').getClientRects().length") == 1
    tab.open("tasks/{task}".format(**places))
    expect(tab.page.get_by_text("用时").first).to_contain_text("秒")
    assert tab.errors == []
    context.close()
