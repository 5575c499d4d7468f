"""A mill with one worker, and a browser that tells of every broken rule; both for the whole module."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.e2e.api import Api
from tests.faults.mill import Mill
from tests.servers.stream_clients import BROWSERS, installed_client

WORKER = "worker-1"
WAIT_MS = 30_000
VIOLATIONS = """
addEventListener("securitypolicyviolation", (event) => { (window.violated ??= []).push(event.violatedDirective); });
"""


class Tab:
    """A page and what went wrong in it."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.errors: list[str] = []
        page.set_default_timeout(WAIT_MS)
        page.add_init_script(VIOLATIONS)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def open(self, place: str) -> None:
        """A view, once it stands."""
        self.page.goto(f"{self.url}/#/{place}")
        self.page.locator("main h1").first.wait_for()

    def violations(self) -> list[str]:
        found: list[str] = self.page.evaluate("window.violated ?? []")
        return found


@pytest.fixture(scope="module")
def mill() -> Iterator[Mill]:
    with Mill() as started:
        yield started.start_all([WORKER])


@pytest.fixture(scope="module")
def api(mill: Mill) -> Iterator[Api]:
    with Api(mill.url) as client:
        yield client


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Skips at home where there is none."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        assert "CI" not in os.environ, "Chromium is needed"
        pytest.skip("no Chromium is installed")
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
        browser = playwright.chromium.launch(executable_path=found, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context(locale="en-US", viewport={"width": 1280, "height": 900})
    yield context
    context.close()


@pytest.fixture
def tab(context: BrowserContext, mill: Mill) -> Iterator[Tab]:
    """No test may leave an error of a script or a broken rule behind."""
    tab = Tab(context.new_page(), mill.url)
    yield tab
    assert tab.errors == []
    assert tab.violations() == []


@pytest.fixture(scope="module")
def axe(request: pytest.FixtureRequest) -> str:
    """The script of axe-core."""
    folder: Path = installed_client(request.config.cache.mkdir("clients"))
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
