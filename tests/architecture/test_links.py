"""Links between pages of the repository lead somewhere."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
PAGES: Final = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("bench/*.md"), *ROOT.glob("samples/*.md")]
)
_FENCED: Final = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_LINK: Final = re.compile(r"\]\((?!https?:|mailto:)([^)\s#]*)(?:#([^)\s]+))?\)")
_HEADING: Final = re.compile(r"^#+ (.+?)\s*$", re.MULTILINE)
_NOT_IN_AN_ANCHOR: Final = re.compile(r"[^\w\- ]")


def links_of(page: Path) -> Iterator[tuple[str, str]]:
    """Path (empty: the page itself) and anchor (empty: none) of each link that does not lead out of the repository."""
    yield from _LINK.findall(_FENCED.sub("", page.read_text()))


def anchors_of(page: Path) -> set[str]:
    """As GitHub makes them of headings; a heading that comes again has a number behind it."""
    found: set[str] = set()
    for heading in _HEADING.findall(_FENCED.sub("", page.read_text())):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        anchor = _NOT_IN_AN_ANCHOR.sub("", text.lower()).replace(" ", "-")
        found.add(anchor if anchor not in found else f"{anchor}-1")
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_to_a_file_and_a_heading_that_are_there(page: Path) -> None:
    astray = []
    for path, anchor in links_of(page):
        target = (page.parent / path).resolve() if path else page
        if not target.exists():
            astray.append(f"{path}: no such file")
        elif anchor and target.suffix == ".md" and anchor not in anchors_of(target):
            astray.append(f"{path}#{anchor}: no such heading")
    assert astray == []


def test_links_and_headings_are_found_where_there_are_some(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A page\n\n## What it's for\n\n[a](b.md#c) [d](#e) [f](https://g.h)\n```\n[i](j.md)\n```\n")

    assert list(links_of(page)) == [("b.md", "c"), ("", "e")]
    assert anchors_of(page) == {"a-page", "what-its-for"}
