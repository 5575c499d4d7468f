"""`/` is made of files that come with the program, its policy lets nothing else in, and browsers keep what stays."""

import base64
import gzip
import hashlib
import posixpath
import re
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from ingest.answers import exception_handlers
from millstream.page import FILES, PAGE, VENDORED, made_page, page_routes

FIRST_VIEW_BYTES_MAX = 70_000
"""Sent to who opens the page for the first time, packed: frame, words of one language, styles, first view."""


@pytest.fixture
def client() -> httpx.AsyncClient:
    app = Starlette(routes=page_routes(), exception_handlers=exception_handlers())
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1")


def directives(policy: str) -> dict[str, str]:
    found = (one.partition(" ") for one in policy.split("; "))
    return {name: rest for name, _, rest in found}


async def test_the_page_names_files_of_its_own_alone(client: httpx.AsyncClient) -> None:
    page = await client.get("/")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    referred = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert referred
    for path in referred:
        assert path.startswith(f"/page/{made_page().tag}/")
        assert (await client.get(path)).status_code == 200, path
    assert "style=" not in page.text
    assert not re.search(r" on[a-z]+=", page.text)


async def test_its_policy_takes_no_script_but_files_and_the_table_of_names(client: httpx.AsyncClient) -> None:
    page = await client.get("/")
    (inline,) = re.findall(r"<script type=\"importmap\">(.+?)</script>", page.text, re.DOTALL)
    told = directives(page.headers["content-security-policy"])
    digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
    assert told["script-src"] == f"'self' 'sha256-{digest}'"
    assert told["default-src"] == "'none'"
    assert told["style-src"] == told["connect-src"] == told["img-src"] == "'self'"
    assert told["base-uri"] == told["form-action"] == told["frame-ancestors"] == "'none'"
    assert told["require-trusted-types-for"] == "'script'"
    assert told["trusted-types"] == "'none'"


@pytest.mark.parametrize("name", sorted(FILES))
async def test_a_file_is_kept_for_ever_under_its_own_path_and_asked_for_under_an_older_one(
    client: httpx.AsyncClient, name: str
) -> None:
    answer = await client.get(f"/page/{made_page().tag}/{name}")
    assert answer.content == FILES[name].read_bytes()
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    older = await client.get(f"/page/0123456789ab/{name}")
    assert (older.status_code, older.headers["cache-control"]) == (200, "no-cache")
    again = await client.get(f"/page/0123456789ab/{name}", headers={"If-None-Match": older.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_whoever_takes_gzip_is_sent_it(client: httpx.AsyncClient) -> None:
    path = f"/page/{made_page().tag}/style/parts.css"
    packed = await client.get(path, headers={"Accept-Encoding": "gzip"})
    plain = await client.get(path, headers={"Accept-Encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.content == plain.content
    assert packed.headers["etag"] != plain.headers["etag"]


@pytest.mark.parametrize(
    "name", ["index.html", "views/nothing.js", "vendor/versions.json", "vendor/swagger-ui/LICENSE", "..%2fdocs.html"]
)
async def test_what_is_no_file_of_the_page_is_not_found(client: httpx.AsyncClient, name: str) -> None:
    answer = await client.get(f"/page/{made_page().tag}/{name}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_every_module_that_is_imported_is_there() -> None:
    for name, path in FILES.items():
        if name.startswith("vendor/") or path.suffix != ".js":
            continue
        for wanted in re.findall(r"""(?:from |import\(?)"(\.[^"]+)"\)?""", path.read_text(encoding="utf-8")):
            assert (path.parent / wanted).resolve() in {*FILES.values()} or wanted.endswith(VENDORED), (name, wanted)


def test_every_name_that_is_imported_is_exported_there() -> None:
    modules = {path: path.read_text(encoding="utf-8") for path in FILES.values() if path.suffix == ".js"}
    for path, text in modules.items():
        for names, wanted in re.findall(r'''import (?:\w+, )?\{([^}]+)\} from "(\.[^"]+)"''', text):
            known = exported(modules, (path.parent / wanted).resolve())
            missing = {name.split(" as ")[0].strip() for name in names.split(",")} - known
            assert missing == set(), f"{path.name} takes them from {wanted}"


def exported(modules: dict[Path, str], path: Path) -> set[str]:
    """With what the module hands on from others."""
    text = modules[path]
    found = set(re.findall(r"export (?:async )?(?:function|const|let|class) (\w+)", text))
    for names in re.findall(r"export \{([^}]+)\}", text):
        found |= {name.split(" as ")[-1].strip() for name in names.split(",")}
    for wanted in re.findall(r'''export \* from "(\.[^"]+)"''', text):
        found |= exported(modules, (path.parent / wanted).resolve())
    return found


def test_a_knowledge_base_is_chosen_by_the_part_that_finds_one_of_thousands() -> None:
    views = {name: path.read_text(encoding="utf-8") for name, path in FILES.items() if name.startswith("views/")}
    assert {name for name, text in views.items() if re.search(r"bases[^]]{0,20}\.map\(\(one\) => \[", text)} == set()
    assert {name for name, text in views.items() if "useKnowledgeBases()" in text and "/keys" not in name} <= {
        "views/knowledge_bases.js",
        *(name for name, text in views.items() if "<${ChooseKnowledgeBase}" in text),
    }


def test_nothing_is_ever_made_markup_or_script_of_a_text() -> None:
    sinks = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc|javascript:"
    )
    own = {name: path.read_text(encoding="utf-8") for name, path in FILES.items() if not name.startswith("vendor/")}
    assert {name for name, text in own.items() if sinks.search(text)} == set()


def test_the_first_view_is_light() -> None:
    """The page itself, its styles, and every module that the first view needs, in the larger of the languages."""
    first = (
        imported_by("app.js") | imported_by("views/upload.js") | imported_by("i18n/zh.js") | imported_by("i18n/en.js")
    )
    assert {"hooks.js", "vendor/preact/preact.mjs", "i18n/zh.js"} <= first
    sizes = {name: len(gzip.compress(FILES[name].read_bytes())) for name in first}
    languages = [sum(size for name, size in sizes.items() if name.startswith(f"i18n/{one}")) for one in ("en", "zh")]
    styles = [FILES[name] for name in FILES if name.startswith("style/") or name in {"theme.js", "icon.svg"}]
    others = sum(len(gzip.compress(path.read_bytes())) for path in [PAGE / "index.html", *styles])
    assert sum(sizes.values()) - min(languages) + others < FIRST_VIEW_BYTES_MAX


def imported_by(name: str) -> set[str]:
    """With what that imports, and so on; not what is loaded later (`import(...)`)."""
    found: set[str] = set()
    open_names = {name}
    while open_names:
        found |= open_names
        texts = {one: FILES[one].read_text(encoding="utf-8") for one in open_names}
        open_names = {
            named
            for one, text in texts.items()
            for wanted in re.findall(r'''(?:from|import) "([^"]+)"''', text)
            if (named := file_of(one, wanted)) not in found
        }
    return found


def file_of(importer: str, wanted: str) -> str:
    """The name of the file that a module means."""
    vendored = {"preact": "preact/preact.mjs", "preact/hooks": "preact/hooks.mjs", "htm": "htm/htm.mjs"}
    if wanted in vendored:
        return f"vendor/{vendored[wanted]}"
    return posixpath.normpath(posixpath.join(posixpath.dirname(importer), wanted))
