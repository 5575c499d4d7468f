import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from knowledge.chunk import (
    CHUNK_ID_CHARS,
    TOKEN,
    Chunk,
    chunk_ids,
    count_tokens,
    decode_chunks,
    encode_chunks,
    indexed_text,
)
from knowledge.errors import KnowledgeError

NESTED = b"\x81\xa1x" + b"\x91" * 100_000 + b"\xc0"
"""A member that nobody knows, far deeper than msgspec goes: its error is none of msgspec's."""

CHUNK = Chunk("a" * 32, 0, "磨 stone", 4, 11, 2, ("Handbook", "Stones"), 2)


def test_chunks_survive_their_blob() -> None:
    assert decode_chunks(encode_chunks([CHUNK, CHUNK])) == (CHUNK, CHUNK)


@pytest.mark.parametrize(
    "blob", [b"", b"\xc1", b"\x91\x01", encode_chunks([CHUNK])[:-1], b"\x92" * 5_000, b"\x91" + NESTED]
)
def test_a_damaged_blob_is_refused(blob: bytes) -> None:
    with pytest.raises(KnowledgeError, match="damaged"):
        decode_chunks(blob)


def test_unchanged_text_keeps_its_id_when_its_neighbours_change() -> None:
    before = chunk_ids("doc_1", ["one", "two", "three"])
    after = chunk_ids("doc_1", ["new", "two", "three", "more"])
    assert before[1:] == after[1:3]


def test_repeated_text_and_other_documents_get_other_ids() -> None:
    ids = chunk_ids("doc_1", ["same", "same"]) + chunk_ids("doc_2", ["same"])
    assert len(set(ids)) == 3
    assert all(len(chunk_id) == CHUNK_ID_CHARS and int(chunk_id, 16) >= 0 for chunk_id in ids)


@given(st.text(), st.text())
def test_a_whole_never_has_more_tokens_than_its_parts(left: str, right: str) -> None:
    assert count_tokens(left + right) <= count_tokens(left) + count_tokens(right)


@pytest.mark.parametrize(("text", "tokens"), [("", 0), (" \n", 0), ("面粉", 2), ("flour, water", 3), ("a" * 17, 3)])
def test_tokens_are_characters_words_and_marks(text: str, tokens: int) -> None:
    assert count_tokens(text) == tokens


@given(st.text(st.characters(max_codepoint=127)))
@example("".join(map(chr, range(128))))
@example("\x1c\x1f \x85".replace("\x85", "\v"))
def test_texts_of_ascii_alone_are_counted_by_the_same_rule(text: str) -> None:
    assert count_tokens(text) == len(TOKEN.findall(text))
    assert count_tokens(f"{text}磨") == len(TOKEN.findall(f"{text}磨"))


def test_a_text_is_counted_alike_each_time_however_long_it_is() -> None:
    for text in ("stone", "stone " * 10_000, "磨 stone " * 10_000):
        assert [count_tokens(text) for _ in range(3)] == [len(TOKEN.findall(text))] * 3


def test_headings_that_the_text_lacks_are_indexed_with_it() -> None:
    assert indexed_text(CHUNK) == "Handbook\nStones\n磨 stone"
    within = Chunk("a" * 32, 0, "# Handbook\nStones", 0, 17, None, ("Handbook",), 4)
    assert indexed_text(within) == within.text
