"""The parser's blocks are written in reading order, each on its page."""

import pytest

from knowledge.cjk_lines import join_cjk_lines
from knowledge.limits import ParseLimits
from knowledge.structure import Block, Cell, Entry, Grid, Node, plain_cell, with_slide_pages, write_nodes
from knowledge.text import ParsedText, TextFormat
from knowledge.writer import TextWriter


def written(*nodes: Node, notes: dict[int, str] | None = None, page_count: int = 0) -> ParsedText:
    writer = TextWriter(TextFormat.PLAIN, ParseLimits())
    write_nodes(writer, nodes, notes=notes or {}, page_count=page_count)
    return writer.finish(parser="test", title=None, language=None)


def paragraph(text: str, page: int | None = None) -> Node:
    return Node(block=Block(node_type="paragraph", text=text), page=page)


def item(text: str, parent: int, *, marker: str | None = None) -> Node:
    return Node(block=Block(node_type="list_item", text=text), parent=parent, marker=marker)


def pages_of(parsed: ParsedText) -> list[tuple[int, str]]:
    return [(page.number, parsed.text[page.start : page.end].strip()) for page in parsed.pages]


def test_blocks_stand_on_their_pages_and_notes_on_none() -> None:
    parsed = written(
        paragraph("one", 1), paragraph("three", 3), paragraph("late one", 1), paragraph("footnote"), page_count=4
    )
    assert pages_of(parsed) == [(1, "one\n\nlate one"), (2, ""), (3, "three"), (4, "")]
    assert parsed.text.endswith("footnote")
    assert parsed.page_of(len(parsed.text) - 1) is None


def test_speaker_notes_follow_their_slide_also_behind_the_last_words() -> None:
    parsed = written(paragraph("first", 1), paragraph("second", 2), notes={1: "say this", 3: "and that"})
    assert pages_of(parsed) == [(1, "first\n\nsay this"), (2, "second"), (3, "and that")]


def test_a_show_with_numbered_slides_alone_gets_its_pages_from_them() -> None:
    nodes = with_slide_pages(
        [Node(block=Block(node_type="slide", number=1, title="Grain")), paragraph("a"), paragraph("b", 2)]
    )
    assert pages_of(written(*nodes)) == [(1, "Grain\n\na"), (2, "b")]


def test_ordered_lists_are_numbered_and_bullets_left_out() -> None:
    ordered = Node(block=Block(node_type="list", ordered=True))
    inner = Node(block=Block(node_type="list"), parent=0)
    nodes = (ordered, item("lock", 0), item("tag", 0), inner, item("padlock", 3), item("test", 0, marker="C."))
    assert written(*nodes).text == "1. lock\n2. tag\n  padlock\nC. test"


def test_every_kind_of_block_keeps_its_words() -> None:
    blocks = [
        Block(node_type="title", text="Title"),
        Block(node_type="code", text="  x = 1"),
        Block(node_type="image", description="a mill"),
        Block(node_type="raw_block", format="latex", content="E=mc^2"),
        Block(node_type="raw_block", format="html", content="<b>"),
        Block(node_type="definition_item", term="bran", definition="the husk"),
        Block(node_type="metadata_block", entries=(Entry(key="Subject", value="flour"),)),
        Block(node_type="group", text=""),
        Block(node_type="quote", text="grind on"),
        Block(node_type="something new", text="kept"),
        Block(
            node_type="table",
            grid=Grid(rows=1, cols=2, cells=(Cell("**bold**", 0, 0), Cell("far away", 9, 9), Cell("x", 0, 1))),
        ),
    ]
    assert written(*(Node(block=block) for block in blocks)).text.split("\n\n") == [
        "Title",
        "  x = 1",
        "a mill",
        "E=mc^2",
        "bran: the husk",
        "Subject: flour",
        "grind on",
        "kept",
        "| bold | x |\n| --- | --- |",
    ]


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("simple with **bold**, ~~struck~~ and *italic*", "simple with bold, struck and italic"),
        ("***both*** <u>line</u>", "both line"),
        ("2 * 3 * 4 and a*b*c", "2 * 3 * 4 and a*b*c"),
        ('[DJIA](/wiki/Dow_(x) "Dow Jones") up', "DJIA up"),
        ("[![logo](a.png)](b)", "logo"),
        ("[1] plain [brackets]", "[1] plain [brackets]"),
    ],
)
def test_cells_lose_their_marks_and_no_words(cell: str, words: str) -> None:
    assert plain_cell(cell) == words


LINES = [
    "一、石磨的构造",
    "赤杨磨坊现有一对法国燧石磨，直径一百三十厘米，上扇为动磨，下扇为定磨。磨面由磨膛和磨",
    "齿组成：磨齿分主槽与副槽，主槽十条，每条主槽之间有四条副槽。粮食从磨眼落入，在离心力",
    "作用下沿沟槽向外移动。",
    "靠近磨沿处应只有一张薄纸的厚度",
    "，约零点一毫米。",
    "The runner stone turns.",
]


def test_wrapped_chinese_lines_become_the_paragraphs_they_were() -> None:
    joined = join_cjk_lines([paragraph(line, 1) for line in LINES])
    assert [node.block.text for node in joined if node.block.text] == [
        LINES[0],
        LINES[1] + LINES[2] + LINES[3],
        LINES[4] + LINES[5],
        LINES[6],
    ]
    assert len(joined) == len(LINES)


def test_lines_are_not_joined_across_pages_or_in_narrow_columns() -> None:
    across = [paragraph(LINES[1], 1), paragraph(LINES[2], 2)]
    assert join_cjk_lines(across) == tuple(across)
    names = [paragraph(name, 1) for name in ("周建国", "李秀兰", "王师傅")]
    assert join_cjk_lines(names) == tuple(names)
