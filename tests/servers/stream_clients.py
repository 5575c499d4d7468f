"""Clients of event streams that nobody here wrote, as processes: the `eventsource` package on Node.js, and a browser.

Both run `tests/clients/follow.js`, which reports each event to an address of the test's.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

CLIENTS = Path(__file__).parents[1] / "clients"
LOCK = "package-lock.json"
INSTALL_S_MAX = 120
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PAGE = """<!doctype html><title>stream</title><script type="module">
import { follow } from "/follow.js";
const asked = new URLSearchParams(location.search);
follow(EventSource, asked.get("stream"), asked.get("report"));
</script>"""


def installed_client(cache: Path) -> Path:
    """The folder with the Node.js client, installed as the lock file says; skips at home where there is no npm."""
    return installed(CLIENTS, cache / "stream-clients")


def installed(sources: Path, folder: Path) -> Path:
    """The files of a Node.js program in a folder of their own, with what its lock file says; skips as above."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        assert "CI" not in os.environ, "node and npm are needed"
        pytest.skip("node and npm are not installed")
    lock = (sources / LOCK).read_bytes()
    done = folder / "installed"
    folder.mkdir(parents=True, exist_ok=True)
    for source in sources.iterdir():
        if source.is_file():
            shutil.copy(source, folder / source.name)
    if not done.exists() or done.read_bytes() != lock:
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run(command, cwd=folder, check=True, stdin=subprocess.DEVNULL, timeout=INSTALL_S_MAX)
        done.write_bytes(lock)
    return folder


@contextmanager
def node_client(folder: Path, stream: str, report: str) -> Iterator[None]:
    with _process(["node", "node.mjs", stream, report], folder):
        yield


@contextmanager
def browser(page: str) -> Iterator[None]:
    """A browser without a window that opens a page; skips where there is none."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium is installed")
    with tempfile.TemporaryDirectory(prefix="ms-browser-", ignore_cleanup_errors=True) as profile:
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
        with _process([found, *flags, f"--user-data-dir={profile}", page], Path(profile)):
            yield


def page_routes() -> list[Route]:
    """The page `/follow?stream=&report=`, to be served from where the stream comes."""

    async def page(_request: Request) -> Response:
        return HTMLResponse(PAGE)

    async def script(_request: Request) -> Response:
        return Response((CLIENTS / "follow.js").read_bytes(), media_type="text/javascript")

    return [Route("/follow", page), Route("/follow.js", script)]


@contextmanager
def _process(command: list[str], folder: Path) -> Iterator[None]:
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
