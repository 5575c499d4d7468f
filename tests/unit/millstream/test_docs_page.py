"""/docs comes from files of the program alone, and the vendored ones are those that were published."""

import hashlib
import json
import re

import httpx
import pytest
from starlette.applications import Starlette

from ingest.answers import exception_handlers
from millstream.openapi.page import FILES, docs_routes
from millstream.web_files import MEDIA_TYPES, WEB

VENDOR = WEB / "vendor"


@pytest.fixture
def client() -> httpx.AsyncClient:
    app = Starlette(routes=docs_routes(), exception_handlers=exception_handlers())
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1")


def test_vendored_files_are_those_that_were_published() -> None:
    """By the digests that were taken from the package of that version, whose own digest the registry gives."""
    told = json.loads((VENDOR / "versions.json").read_text(encoding="utf-8"))
    found = {
        folder.name: {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
        for folder in VENDOR.iterdir()
        if folder.is_dir()
    }
    assert found == {name: one["sha256"] for name, one in told.items()}


def test_the_licence_of_what_is_vendored_comes_with_it() -> None:
    named = (VENDOR / "README.md").read_text(encoding="utf-8")
    for name, told in json.loads((VENDOR / "versions.json").read_text(encoding="utf-8")).items():
        licence = (VENDOR / name / "LICENSE").read_text(encoding="utf-8")
        assert "Apache License" in licence or "MIT License" in licence, name
        assert re.search(rf"`{name}/`.* {re.escape(told['version'])} ", named), name


async def test_the_page_is_made_of_files_that_are_served_beside_it(client: httpx.AsyncClient) -> None:
    page = await client.get("/docs")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    referred = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert {one for one in referred if not one.startswith("/")} == set(), "nothing from elsewhere"
    assert "<script>" not in page.text, "nothing inline, which the policy would refuse"
    assert "style=" not in page.text
    for path in {one for one in referred if one.startswith("/docs/")}:
        assert (await client.get(path)).status_code == 200, path


@pytest.mark.parametrize("name", sorted(FILES))
async def test_every_file_is_served_as_what_it_is_and_under_the_policy(client: httpx.AsyncClient, name: str) -> None:
    answer = await client.get(f"/docs/{name}")
    assert answer.content == FILES[name].read_bytes()
    assert answer.headers["content-type"] == MEDIA_TYPES[FILES[name].suffix]
    policy = answer.headers["content-security-policy"].split("; ")
    assert policy[:3] == ["default-src 'none'", "script-src 'self'", "style-src 'self'"]
    again = await client.get(f"/docs/{name}", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("name", ["nothing.js", "LICENSE", "..%2fdocs.html", "vendor%2fversions.json"])
async def test_what_is_no_file_of_the_page_is_not_found(client: httpx.AsyncClient, name: str) -> None:
    answer = await client.get(f"/docs/{name}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
