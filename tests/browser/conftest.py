"""A mill with one worker, and a browser that tells of every broken rule; both for the whole module."""

import json
import os
import shutil
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

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


class LanguageModel(BaseHTTPRequestHandler):
    """An OpenAI-compatible chat endpoint that says the same to everybody, a word after the other."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        for word in ("The stones ", "are of granite ", "[1]", "."):
            chunk = {"choices": [{"delta": {"content": word}, "finish_reason": None}]}
            self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
        ended = {"choices": [{"delta": {}, "finish_reason": "stop"}]}
        self.wfile.write(b"data: " + json.dumps(ended).encode() + b"\n\ndata: [DONE]\n\n")

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture(scope="module")
def language_model() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), LanguageModel)
    serving = Thread(target=server.serve_forever)
    serving.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()
    serving.join()
    server.server_close()


@pytest.fixture(scope="module")
def mill(language_model: str) -> Iterator[Mill]:
    with Mill({"MILLSTREAM_LLM_MODEL": "says-the-same", "MILLSTREAM_LLM_BASE_URL": language_model}) as started:
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
