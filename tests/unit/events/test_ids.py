"""Ids carry their partition, sort by time where they are new, and repeat where they are derived."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.errors import InvalidId
from events.ids import (
    IDS_CACHED,
    STREAM_IDS,
    IdFactory,
    StreamKind,
    derived_knowledge_base_id,
    derived_task_id,
    document_id,
    kind_of,
    knowledge_base_id,
    pack_stream_id,
    parse_document_id,
    parse_knowledge_base_id,
    parse_task_id,
    partition_of,
    unpack_stream_id,
    uuid7_hex,
    uuid8_hex,
)
from events.pairs import PAIRS

TIMES = st.integers(0, (1 << 48) - 1)
RANDOM = st.binary(min_size=10, max_size=10)
PARTITIONS = st.integers(1, 256)


@given(TIMES, RANDOM)
def test_a_uuid7_carries_its_time_version_and_variant(unix_ms: int, random_bytes: bytes) -> None:
    made = uuid7_hex(unix_ms, random_bytes)
    assert int(made[:12], 16) == unix_ms
    assert made[12] == "7"
    assert made[16] in "89ab"
    assert len(made) == 32


@given(TIMES, TIMES, RANDOM, RANDOM)
def test_uuid7_sorts_by_time(one: int, other: int, first: bytes, second: bytes) -> None:
    if one < other:
        assert uuid7_hex(one, first) < uuid7_hex(other, second)


def test_the_example_of_rfc_9562_comes_out() -> None:
    random_bytes = bytes.fromhex("0cc318c4dc0c0c07398f")
    assert uuid7_hex(0x017F22E279B0, random_bytes) == "017f22e279b07cc398c4dc0c0c07398f"


@given(st.text(), st.text(), st.text())
def test_a_uuid8_tells_its_parts_apart(one: str, other: str, third: str) -> None:
    assert uuid8_hex(one, other) == uuid8_hex(one, other)
    assert (uuid8_hex(one, other) == uuid8_hex(one, third)) == (other == third)
    assert uuid8_hex(one)[12] == "8"


@given(TIMES, RANDOM, PARTITIONS, st.integers(0, 10_000))
def test_tasks_and_documents_lie_in_the_partition_of_their_knowledge_base(
    unix_ms: int, random_bytes: bytes, partitions: int, ordinal: int
) -> None:
    factory = IdFactory(lambda: unix_ms, lambda count: random_bytes[:count])
    knowledge_base = factory.knowledge_base(partitions)
    task = factory.task(knowledge_base)
    document = document_id(task, ordinal)
    assert {partition_of(each) for each in (knowledge_base, task, document)} == {partition_of(knowledge_base)}
    assert partition_of(knowledge_base) < partitions
    kinds = [kind_of(each) for each in (knowledge_base, task, document)]
    assert kinds == [StreamKind.KNOWLEDGE_BASE, StreamKind.TASK, StreamKind.DOCUMENT]


@given(TIMES, RANDOM, PARTITIONS)
def test_packing_an_id_loses_nothing(unix_ms: int, random_bytes: bytes, partitions: int) -> None:
    knowledge_base = knowledge_base_id(uuid7_hex(unix_ms, random_bytes), partitions)
    task = derived_task_id(knowledge_base, "key", "actor")
    for each in (knowledge_base, task, document_id(task, 3)):
        packed = pack_stream_id(each)
        assert len(packed) == 18
        assert unpack_stream_id(packed) == each


def test_the_same_key_of_the_same_caller_names_the_same_thing() -> None:
    one = derived_knowledge_base_id("key", "alice", 8)
    assert one == derived_knowledge_base_id("key", "alice", 8)
    assert one != derived_knowledge_base_id("key", "bob", 8)
    assert derived_task_id(one, "key", "alice") == derived_task_id(one, "key", "alice")
    assert derived_task_id(one, "key", "alice") != derived_task_id(one, "key", "bob")
    assert derived_task_id(one, "鍵", "alice") != derived_task_id(one, "key", "alice")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "doc_",
        "doc_07" + "0" * 32,
        "doc_07" + "0" * 12 + "7" + "0" * 3 + "c" + "0" * 15,
        "DOC_07" + "0" * 12 + "7" + "0" * 3 + "8" + "0" * 15,
        "doc_0G" + "0" * 12 + "7" + "0" * 3 + "8" + "0" * 15,
        "doc_07" + "0" * 12 + "7" + "0" * 3 + "8" + "0" * 15 + "\n",
        "doc_07" + "0" * 12 + "7" + "0" * 3 + "8" + "0" * 14 + "٣",
        "../etc/passwd",
    ],
)
def test_what_is_no_id_is_refused(text: str) -> None:
    for parse in (parse_document_id, parse_task_id, parse_knowledge_base_id, kind_of, partition_of, pack_stream_id):
        with pytest.raises(InvalidId):
            parse(text)


def test_an_id_of_another_kind_is_refused() -> None:
    task = derived_task_id(derived_knowledge_base_id("k", "a", 8), "k", "a")
    assert parse_task_id(task) == task
    with pytest.raises(InvalidId):
        parse_document_id(task)
    with pytest.raises(InvalidId):
        parse_knowledge_base_id(task)


@given(st.binary(max_size=40))
def test_bytes_that_are_no_packed_id_are_refused_or_unpack_to_what_packs_back(packed: bytes) -> None:
    try:
        stream = unpack_stream_id(packed)
    except InvalidId:
        return
    assert pack_stream_id(stream) == packed


@pytest.mark.parametrize("kept", [STREAM_IDS, PAIRS], ids=["ids", "pairs"])
def test_what_is_kept_of_ids_is_forgotten_also_where_two_threads_have_filled_it_beyond_its_size(
    kept: dict[bytes, object],
) -> None:
    """The archiver reads in a thread of its own. A size that was passed by would be met never again."""
    kept.update({number.to_bytes(4): "" for number in range(IDS_CACHED + 1)})
    packed = pack_stream_id(knowledge_base_id(uuid7_hex(1, bytes(10)), 8))
    kept.pop(packed, None)
    assert kept[packed]
    assert list(kept) == [packed]
