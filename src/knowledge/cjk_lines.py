"""Pure: lines of Chinese and Japanese pages that a PDF parser took for paragraphs -> the paragraphs they were.

Such pages are set with wide leading, and the parser tells paragraphs by the gaps between lines: each line comes as a
paragraph of its own, and words are cut in two wherever a line ends.
"""

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

import msgspec

from knowledge.structure import Node

# A line this close to the widest of its page was wrapped; a shorter one ended where its author ended it.
FULL_LINE_SHARE: Final = 0.9
# Narrower pages (columns of a form, tables of names) have no running text.
LINE_WIDTH_MIN: Final = 24
_ENDS_SENTENCE: Final = re.compile("[。！？；：…!?;:.][」』”’）】》)\\]]*$")
# Chinese and Japanese typography forbids these at the start of a paragraph.
_CANNOT_START: Final = re.compile("[，。、；：！？）】》」』”’％]")
_CJK_END: Final = re.compile("[\u3001-\u303f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uff01-\uff60A-Za-z0-9]$")
_CJK_ANY: Final = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]")


def join_cjk_lines(nodes: Sequence[Node]) -> tuple[Node, ...]:
    """As many nodes, the lines of each wrapped paragraph in its first one and the others left without text.

    None is taken out: nodes name their parents by place. Never joins across pages or other blocks.
    """
    widest = _widest_lines(nodes)
    joined = list(nodes)
    first, last_line = 0, ""
    for index, node in enumerate(nodes):
        line = node.block.text
        if index and _continues(joined[first], last_line, node, widest.get(node.page, 0)):
            joined[first] = _with_text(joined[first], joined[first].block.text.rstrip() + line.lstrip())
            joined[index] = _with_text(node, "")
        else:
            first = index
        last_line = line
    return tuple(joined)


def _with_text(node: Node, text: str) -> Node:
    return msgspec.structs.replace(node, block=msgspec.structs.replace(node.block, text=text))


def _continues(above: Node, last_line: str, below: Node, widest: int) -> bool:
    are_lines = all(node.block.node_type == "paragraph" for node in (above, below)) and above.page == below.page
    if not are_lines or not _CJK_ANY.search(last_line) or not _CJK_ANY.search(below.block.text):
        return False
    if _CANNOT_START.match(below.block.text.lstrip()):
        return True
    is_full = widest >= LINE_WIDTH_MIN and _width(last_line) >= FULL_LINE_SHARE * widest
    ends = last_line.rstrip()
    return is_full and _CJK_END.search(ends) is not None and _ENDS_SENTENCE.search(ends) is None


def _widest_lines(nodes: Sequence[Node]) -> dict[int | None, int]:
    widest: dict[int | None, int] = {}
    for node in nodes:
        if node.block.node_type == "paragraph" and _CJK_ANY.search(node.block.text):
            widest[node.page] = max(widest.get(node.page, 0), _width(node.block.text))
    return widest


def _width(text: str) -> int:
    """Columns on the page: East Asian characters take two (UAX #11)."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)
