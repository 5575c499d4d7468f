"""A browser that can reach nothing but this service shows /docs, and no rule of the page's policy is broken."""

import asyncio
import shutil
import subprocess
from pathlib import Path
from typing import Final
from unittest.mock import MagicMock

import pytest
from starlette.applications import Starlette

from millstream.app import api_routes
from millstream.settings import Settings
from tests.integration.ingest_app import serving
from tests.servers.stream_clients import BROWSERS

RENDERED_MS: Final = 30_000
FLAGS: Final = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--enable-logging=stderr"),
    *("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", f"--virtual-time-budget={RENDERED_MS}"),
)


def shown(page: str, profile: Path) -> tuple[str, str]:
    """The page as it stands in the end, and what the browser said meanwhile; skips where there is none."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium is installed")
    command = [found, *FLAGS, f"--user-data-dir={profile}", "--dump-dom", page]
    run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=90)
    return run.stdout, run.stderr


async def test_the_page_shows_the_contract_and_breaks_no_rule(tmp_path: Path) -> None:
    stores = MagicMock(settings=Settings(), secret=bytes(32))
    entrance = MagicMock()
    entrance.ring.is_open = False
    app = Starlette(routes=api_routes(stores, MagicMock(), asyncio.Event(), entrance, MagicMock()))
    async with serving(app) as port:
        page, said = await asyncio.to_thread(shown, f"http://127.0.0.1:{port}/docs", tmp_path / "profile")
    assert 'data-ready="yes"' in page, said[-2_000:]
    for told in ("/api/v1/knowledge-bases/{kb_id}/search", "Try the failed documents of a task again", "Authorize"):
        assert told in page.replace("\u200b", ""), told
    assert "Content Security Policy" not in said, said
    assert "CONSOLE" not in said, said
