"""Where the meaning of a text turns, with vectors made by hand."""

import numpy as np

from knowledge.chunkers import ChunkerKind, ChunkerOptions, make_chunker
from knowledge.semantic import PIECES_MAX, pieces, turns
from knowledge.text import ParsedText

MILL, BREAD = "The mill grinds wheat. ", "面包在炉子里烤。"


def vectors(texts: list[str]) -> np.ndarray:
    return np.array([[1.0, 0.0] if "mill" in text else [0.0, 1.0] for text in texts], dtype=np.float32)


def test_a_text_is_cut_where_its_subject_changes() -> None:
    text = ParsedText(text=MILL * 6 + BREAD * 6 + MILL * 6)
    compared = pieces(text)
    found = turns(compared, vectors([piece.text for piece in compared]), 80)
    assert found == [len(MILL * 6), len(MILL * 6 + BREAD * 6)]
    chunker = make_chunker(ChunkerKind.SEMANTIC, ChunkerOptions(size_tokens=128, overlap_tokens=0))
    chunks = chunker.chunk(text, document_id="d", chunks_max=10, turns=found)
    assert [chunk.text for chunk in chunks] == [(MILL * 6).strip(), BREAD * 6, (MILL * 6).strip()]


def test_one_subject_is_not_cut() -> None:
    compared = pieces(ParsedText(text=MILL * 9))
    assert turns(compared, vectors([piece.text for piece in compared]), 90) == []


def test_a_short_text_has_no_turns() -> None:
    compared = pieces(ParsedText(text=MILL))
    assert turns(compared, vectors([MILL]), 90) == []
    assert pieces(ParsedText(text=" \n ")) == []


def test_a_long_text_is_compared_in_larger_pieces() -> None:
    text = ParsedText(text=MILL * 5_000)
    compared = pieces(text)
    assert len(compared) <= PIECES_MAX
    assert "".join(piece.text for piece in compared) == text.text
