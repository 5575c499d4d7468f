"""Rows of what has ended are packed: small, as they were when unpacked, and refused where they are damaged."""

import hashlib
from typing import Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.ids import document_id
from events.task import TaskFinished, TaskSubmitted
from projections import row_packing
from projections.projection import DOCUMENTS, TASKS, RowKey
from projections.row_packing import MARK, WORDS_NOW, pack, unpack
from projections.rows import decode_row, encode_row
from tests.event_samples import accepted, envelope, new_knowledge_base, new_task
from tests.facts import UNTIL_INDEXED
from tests.projecting import Rows

DIGESTS: Final = {1: "e6b7193be318afbd07639d96774c50a45234dec7fb3c5d28c8022a5d845c0620"}
"""Of all words that rows may have been packed with: what is in Redis is read by them."""


@given(st.binary(max_size=3_000))
def test_whatever_is_packed_comes_out_as_it_was(row: bytes) -> None:
    assert unpack(pack(row)) == row


@given(st.binary(min_size=1, max_size=200).filter(lambda row: row[0] != MARK))
def test_a_row_that_is_not_packed_is_read_as_it_stands(row: bytes) -> None:
    assert unpack(row) == row
    assert unpack(b"") == b""


@given(st.binary(max_size=300), st.data())
def test_a_damaged_row_is_told_as_bytes_that_are_none(row: bytes, data: st.DataObject) -> None:
    packed = pack(row)
    cut = data.draw(st.integers(1, len(packed) - 1))
    with pytest.raises(msgspec.DecodeError):
        unpack(packed[:cut])
    with pytest.raises(msgspec.DecodeError):
        unpack(packed + b"\\0")


def test_words_of_a_newer_release_are_told() -> None:
    with pytest.raises(msgspec.DecodeError, match="newer release"):
        unpack(bytes((MARK, WORDS_NOW + 1)) + pack(b"row")[2:])


def test_words_never_change_once_rows_were_packed_with_them() -> None:
    words = row_packing._WORDS
    assert {number: hashlib.sha256(known).hexdigest() for number, known in words.items()} == DIGESTS


def test_rows_are_packed_once_what_they_tell_of_has_ended_and_take_less_than_half_of_their_bytes_then() -> None:
    knowledge_base, task = new_knowledge_base(), new_task()
    document = document_id(task, 0)
    submitted = TaskSubmitted(knowledge_base_id=knowledge_base, documents=1)
    finished = TaskFinished(succeeded=1, failed=0, cancelled=0, skipped=0)
    facts = (accepted(task, knowledge_base), *UNTIL_INDEXED[1:])
    rows = Rows().fold_pages([[envelope(task, 1, submitted, task=task)]])
    for version, fact in enumerate(facts, 1):
        rows.fold([envelope(document, version, fact, task=task)])
        encoded = rows.encoded()
        assert (encoded[RowKey(DOCUMENTS, document)][0] == MARK) is (version == len(facts))
        assert encoded[RowKey(TASKS, task)][0] != MARK
    rows.fold([envelope(task, 2, finished, task=task)])
    for table, one in ((DOCUMENTS, document), (TASKS, task)):
        row = rows.rows[RowKey(table, one)]
        packed = encode_row(row)
        assert packed[0] == MARK
        assert len(packed) < len(unpack(packed)) / 2
        assert decode_row(table, packed) == row
        assert decode_row(table, unpack(packed)) == row, "as rows were written before"
