"""The parser's tree of blocks -> text with pages, headings and tables."""

import re
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, Self

import msgspec

from knowledge.writer import TextWriter

# Cells come with the marks of Markdown emphasis in them; they would stand between a searcher and the words.
_EMPHASIS: Final = re.compile(r"(?<![\w*])(\*{1,3})(?=[^\s*])([^*\n]+?)(?<=[^\s*])\1(?![\w*])")
_STRUCK: Final = re.compile(r"~~(?=\S)([^~\n]+?)(?<=\S)~~|==(?=\S)([^=\n]+?)(?<=\S)==")
_LINK: Final = re.compile(r'!?\[([^\[\]\n]*)\]\((?:[^()\s]|\([^()\s]*\))*(?:\s+"[^"\n]*")?\)')
_INLINE_TAG: Final = re.compile(r"</?(?:u|sub|sup|b|i|strong|em)>")
SLIDE_LEVEL: Final = 2


class Cell(msgspec.Struct, frozen=True):
    """One cell of a table, by row and column from 0."""

    content: str
    row: int
    col: int


class Grid(msgspec.Struct, frozen=True):
    """A table as cells; merged ones appear once."""

    rows: int
    cols: int
    cells: tuple[Cell, ...]


class Entry(msgspec.Struct, frozen=True):
    """One line of a metadata block, such as a mail's subject."""

    key: str
    value: str


class Block(msgspec.Struct, frozen=True):
    """The content of one node of the tree, in the parser's own field names; which are set depends on its type."""

    node_type: str
    text: str = ""
    level: int = 1
    ordered: bool = False
    grid: Grid | None = None
    description: str | None = None
    content: str = ""
    format: str = ""
    term: str = ""
    definition: str = ""
    title: str | None = None
    number: int = 0
    entries: tuple[Entry, ...] = ()


class Node(msgspec.Struct, frozen=True):
    """A block, its page (from 1), its parent's place in the list, and its marker where it is a list item."""

    block: Block
    page: int | None = None
    parent: int | None = None
    marker: str | None = None

    def without_page(self) -> Self:
        """The same node, its page forgotten."""
        return msgspec.structs.replace(self, page=None)


def with_slide_pages(nodes: Sequence[Node]) -> tuple[Node, ...]:
    """`nodes` of a show in which only the slides themselves are numbered, each with the number of its slide."""
    paged: list[Node] = []
    slide: int | None = None
    for node in nodes:
        if node.block.node_type == "slide":
            slide = node.block.number
        paged.append(node if node.page is not None else msgspec.structs.replace(node, page=slide))
    return tuple(paged)


def write_nodes(
    writer: TextWriter, nodes: Sequence[Node], *, notes: Mapping[int, str] = MappingProxyType({}), page_count: int = 0
) -> None:
    """Writes `nodes` in reading order, page by page up to `page_count`; `notes` of a page (slide) follow it.

    Nodes without a page before the last one that has one belong to the page they stand on; behind it are running
    headers and footnotes, which belong to none.
    """
    paged = [index for index, node in enumerate(nodes) if node.page is not None]
    last_paged = paged[-1] if paged else -1
    depths = _list_depths(nodes)
    counters: dict[int, int] = {}
    pages = _pages(nodes, last_paged)
    for index in sorted(range(len(nodes)), key=pages.__getitem__):
        node = nodes[index]
        if index <= last_paged:
            _turn(writer, pages[index], notes)
        elif writer.page is not None:
            _finish_pages(writer, notes, page_count)
        if node.block.node_type == "list_item":
            marker = node.marker or _marker(nodes, node, counters)
            writer.list_item(node.block.text, marker=marker, depth=max(depths[index] - 1, 0))
        else:
            _write_block(writer, node.block)
    _finish_pages(writer, notes, page_count)


def _pages(nodes: Sequence[Node], last_paged: int) -> list[int]:
    """The page of each node, for sorting: its own or that of the node before; those behind the last page go last."""
    current = next((node.page for node in nodes if node.page is not None), 0)
    pages: list[int] = []
    for index, node in enumerate(nodes):
        current = current if node.page is None else node.page
        pages.append(current if index <= last_paged else sys.maxsize)
    return pages


def _turn(writer: TextWriter, page: int, notes: Mapping[int, str]) -> None:
    while (writer.page or 0) < page:
        _write_notes(writer, notes)
        writer.turn_to_page((writer.page or 0) + 1)


def _finish_pages(writer: TextWriter, notes: Mapping[int, str], page_count: int) -> None:
    if writer.page is not None:
        _turn(writer, max(page_count, *notes, 0), notes)
        _write_notes(writer, notes)
        writer.leave_pages()


def _write_notes(writer: TextWriter, notes: Mapping[int, str]) -> None:
    if writer.page is not None and (text := notes.get(writer.page)):
        writer.paragraph(text)


def _list_depths(nodes: Sequence[Node]) -> list[int]:
    depths: list[int] = []
    for node in nodes:
        inherited = depths[node.parent] if node.parent is not None and node.parent < len(depths) else 0
        depths.append(inherited + (node.block.node_type == "list"))
    return depths


def _marker(nodes: Sequence[Node], item: Node, counters: dict[int, int]) -> str:
    if item.parent is None or not nodes[item.parent].block.ordered:
        return ""  # a bullet says nothing, and would stand in the middle of a phrase that spans two items
    counters[item.parent] = counters.get(item.parent, 0) + 1
    return f"{counters[item.parent]}."


def _write_block(writer: TextWriter, block: Block) -> None:
    match block.node_type:
        case "heading" | "title":
            writer.heading(block.level, block.text)
        case "slide":
            writer.heading(SLIDE_LEVEL, block.title or "")
        case "table":
            if block.grid is not None:
                writer.table(rows_of(block.grid))
        case "code" | "formula":
            writer.verbatim(block.text)
        case "group" | "list" | "page_break" | "quote" | "definition_list" if not block.text:
            pass  # says how its children hang together, which follow by themselves
        case _:
            _write_rare_block(writer, block)


def _write_rare_block(writer: TextWriter, block: Block) -> None:
    match block.node_type:
        case "image":
            writer.paragraph(block.description or "")
        case "raw_block":
            if block.format != "html":  # markup that the parser could not place; its words are in other nodes
                writer.verbatim(block.content)
        case "definition_item":
            writer.paragraph(f"{block.term}: {block.definition}")
        case "metadata_block":
            for entry in block.entries:
                writer.paragraph(f"{entry.key}: {entry.value}")
        case _:
            writer.paragraph(block.text or block.title or "")


def rows_of(grid: Grid) -> list[list[str]]:
    """The rows of a table, cells without marks of emphasis."""
    rows = [[""] * grid.cols for _ in range(grid.rows)]
    for cell in grid.cells:
        if cell.row < grid.rows and cell.col < grid.cols:
            rows[cell.row][cell.col] = plain_cell(cell.content)
    return rows


def plain_cell(text: str) -> str:
    """The words of a cell without the marks of links and of bold, italic, struck and underlined text."""
    if not any(mark in text for mark in "*~=<["):
        return text
    text = _INLINE_TAG.sub("", _LINK.sub(r"\1", _LINK.sub(r"\1", text)))  # twice: a picture inside a link
    text = _STRUCK.sub(lambda found: found[1] or found[2], text)
    return _EMPHASIS.sub(r"\2", text)
