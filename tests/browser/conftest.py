"""One mill with one worker for all files of this folder, which run in one process; a browser for each file."""

import json
import os
import shutil
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from domain.status import TaskPhase
from tests.browser.elsewhere import Receiver, receiver
from tests.browser.places import HOSTILE, HOSTILE_NAME
from tests.browser.tab import WORKER, Tab
from tests.e2e.api import Api
from tests.faults.mill import Mill
from tests.servers.embedding_provider import DIMENSIONS, EmbeddingProvider, embedding_provider
from tests.servers.stream_clients import BROWSERS, installed_client

UNHEARD = "http://127.0.0.1:9/hook"
"""The port of the discard protocol: nobody listens."""


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


@pytest.fixture(scope="session")
def language_model() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), LanguageModel)
    serving = Thread(target=server.serve_forever)
    serving.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()
    serving.join()
    server.server_close()


@pytest.fixture(scope="session")
def provider() -> Iterator[EmbeddingProvider]:
    """Embeds for knowledge bases whose model is `openai`."""
    with embedding_provider() as listening:
        yield listening


@pytest.fixture
def hook() -> Iterator[Receiver]:
    """A receiver of webhooks."""
    with receiver() as listening:
        yield listening


@pytest.fixture(scope="session")
def mill(language_model: str, provider: EmbeddingProvider) -> Iterator[Mill]:
    variables = {
        "MILLSTREAM_LLM_MODEL": "says-the-same",
        "MILLSTREAM_LLM_BASE_URL": language_model,
        "MILLSTREAM_OPENAI_BASE_URL": provider.base_url,
        "MILLSTREAM_OPENAI_EMBEDDING_DIMENSIONS": str(DIMENSIONS),
        "MILLSTREAM_OUTBOUND_ALLOW": "127.0.0.1/32",
    }
    with Mill(variables) as started:
        yield started.start_all([WORKER])


@pytest.fixture(scope="session")
def api(mill: Mill) -> Iterator[Api]:
    with Api(mill.url) as client:
        yield client


@pytest.fixture(scope="session")
def places(api: Api) -> dict[str, str]:
    """A knowledge base with a document that wishes us ill, in text, name and metadata; one that failed, and a webhook
    that nobody hears."""
    kb = api.create(f"Stones {HOSTILE}"[:200], description=HOSTILE)
    body = {"text": f"# {HOSTILE}\n\n{HOSTILE}", "filename": HOSTILE_NAME, "options": {"metadata": {"note": HOSTILE}}}
    accepted = api.http.post(f"/knowledge-bases/{kb}/documents/import", json=body)
    assert accepted.status_code == 202, accepted.text
    task = accepted.json()["task_id"]
    assert api.ended(task).status is TaskPhase.COMPLETED
    failed = api.ended(api.upload(kb, [(f"{HOSTILE_NAME}.pdf", b"%PDF-1.7 and nothing else")]))
    assert failed.status is TaskPhase.FAILED
    hook = api.http.post(
        "/webhooks", json={"url": UNHEARD, "description": HOSTILE, "events": ["knowledge_base.deleted"]}
    )
    assert hook.status_code == 201, hook.text
    webhook = hook.json()["webhook_id"]
    assert api.http.post(f"/webhooks/{webhook}/test").status_code == 202
    document = accepted.json()["documents"][0]["document_id"]
    return {"kb": kb, "task": task, "document": document, "webhook": webhook}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Skips at home where there is none. Ends with its file: meanwhile no other event loop can run here."""
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


@pytest.fixture(scope="session")
def axe(request: pytest.FixtureRequest) -> str:
    """The script of axe-core."""
    folder: Path = installed_client(request.config.cache.mkdir("clients"))
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
