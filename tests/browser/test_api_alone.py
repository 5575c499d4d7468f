"""A service of its own, of the API and Redis alone: what is away is named, and a door that closes stays so."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, expect
from redis import Redis

from events.keys import Keys
from tests.browser.tab import Tab
from tests.e2e.api import Api
from tests.faults.mill import API, Mill, Role

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def api_alone() -> Iterator[Mill]:
    """Redis and the API, and nobody who works."""
    with Mill() as started:
        started.redis.start()
        started.start(Role.API, API)
        yield started


def test_health_says_what_to_do_where_redis_is_away(context: BrowserContext, api_alone: Mill) -> None:
    tab = Tab(context.new_page(), api_alone.url)
    tab.open("operations?tab=health")
    expect(tab.page.get_by_role("heading", name="Everything answers")).to_be_visible()
    api_alone.redis.kill()
    try:
        expect(tab.page.get_by_role("heading", name="Something does not answer")).to_be_visible()
        redis = tab.page.locator(".health li", has_text="Redis (the log)")
        expect(redis).to_contain_text("Check that Redis runs")
        expect(redis).to_contain_text("not ready")
        expect(tab.page.locator(".health li", has_text="Blobs")).to_contain_text("ready")
    finally:
        api_alone.redis.start()
    expect(tab.page.get_by_role("heading", name="Everything answers")).to_be_visible()
    assert tab.errors == []


def test_without_a_language_model_a_question_leads_to_a_search(context: BrowserContext, api_alone: Mill) -> None:
    tab = Tab(context.new_page(), api_alone.url)
    with Api(api_alone.url) as api:
        kb = api.create("unanswered")
    tab.open(f"ask?kb={kb}")
    tab.page.get_by_label("Your question").fill("What is granite?")
    tab.page.keyboard.press("Enter")
    expect(tab.page.get_by_role("heading", name="No language model is set up")).to_be_visible()
    expect(tab.page.get_by_role("link", name="Search instead")).to_be_visible()
    assert tab.errors == []


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


def test_health_says_what_may_be_lost_and_what_is_missing_in_both_languages(context: BrowserContext) -> None:
    """A log that is synced once a second, and lacks its first event."""
    with Mill({"MILLSTREAM_PARTITIONS": "1"}, ["--appendfsync", "everysec"]) as mill:
        mill.redis.start()
        mill.start(Role.API, API)
        with Api(mill.url) as api:
            for name in ("first", "second"):
                api.create(name)
        with Redis.from_url(mill.redis.url) as client:
            log = Keys(1).log(0)
            ((first, _), *_) = client.xrange(log)
            client.xdel(log, first)
        tab = Tab(context.new_page(), mill.url)
        tab.open("operations?tab=health")
        expect(tab.page.get_by_text("Redis runs with appendfsync everysec")).to_have_count(1)
        expect(tab.page.get_by_text("Events 1 to 1 are not in the log of partition 0")).to_have_count(1)
        tab.page.get_by_role("button", name="中文").click()
        expect(tab.page.get_by_text("断电可能丢失最后一秒的事件")).to_have_count(1)
        expect(tab.page.get_by_text("分区 0 的日志缺少事件 1 至 1")).to_have_count(1)
        expect(tab.page.get_by_text("missing from the log")).to_have_count(0)
        assert tab.errors == []


def test_health_says_where_no_replica_follows_and_what_to_do(context: BrowserContext) -> None:
    """A log that confirms by a replica, and has none."""
    with Mill({"MILLSTREAM_CONFIRM": "replica"}) as mill:
        mill.redis.start()
        mill.start(Role.API, API)
        tab = Tab(context.new_page(), mill.url)
        tab.open("operations?tab=health")
        said = tab.page.get_by_text("Too few replicas follow Redis")
        expect(said).to_have_count(1)
        expect(said).to_contain_text("Start its replica, or add one")
        tab.page.get_by_role("button", name="中文").click()
        expect(tab.page.get_by_text("副本不足")).to_have_count(1)
        assert tab.errors == []
