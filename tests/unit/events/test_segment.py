"""Segments <-> bytes, and every way in which their bytes may be wrong."""

import hashlib
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.archive import DIGEST_OF_NOTHING, SegmentEntry
from events.codec import encode
from events.compression import compress, decompress
from events.envelope import Envelope
from events.errors import SegmentDamaged
from events.log import Unreadable
from events.segment import (
    BLOCK_BYTES_MAX,
    BLOCK_EVENTS_MAX,
    HEADER_BYTES_MAX,
    MAGIC,
    PREFIX_BYTES,
    Entry,
    Origin,
    check_bytes,
    check_follows,
    decode_block,
    decode_head,
    decode_segment,
    events_of,
)
from events.segment_writer import Encoded, encode_segment
from tests.event_samples import accepted, envelope, new_document, new_knowledge_base, new_task
from tests.examples import examples

ORIGIN = Origin(installation="i1", partition=0, tag="00.1", previous=DIGEST_OF_NOTHING)


def entries(count: int, *, first: int = 1, payload: bytes = b"payload") -> list[Entry]:
    return [Entry(1, 1_000 + number // 3, number % 3, number, payload) for number in range(first, first + count)]


Look = Callable[[str, bytes], object]

SEGMENT = encode_segment(ORIGIN, entries(BLOCK_EVENTS_MAX * 2 + 5))
SMALL = encode_segment(ORIGIN, entries(6))


@st.composite
def any_entries(draw: st.DrawFn) -> list[Entry]:
    first, ms = draw(st.integers(1, 2**40)), draw(st.integers(1, 2**40))
    payloads = draw(st.lists(st.binary(max_size=60), min_size=1, max_size=20))
    return [Entry(1, ms + place, place % 4, first + place, payload, place, 0) for place, payload in enumerate(payloads)]


@settings(max_examples=examples(60))
@given(any_entries())
def test_what_was_packed_comes_back_as_it_was(wanted: list[Entry]) -> None:
    packed = encode_segment(ORIGIN, wanted)
    segment = decode_segment(packed.entry.key, packed.data)
    assert list(segment.entries) == wanted
    assert segment.head.entry() == packed.entry
    assert packed.entry.size_bytes == len(packed.data)
    assert encode_segment(ORIGIN, wanted) == packed, "the same events, the same bytes"


def compare_digests(name: str, data: bytes) -> None:
    """As a replay looks at a segment before it publishes anything."""
    check_bytes(decode_head(name, data), data)


looks = pytest.mark.parametrize("look", [decode_segment, compare_digests])


@looks
@settings(max_examples=examples(150))
@given(bit=st.integers(0, len(SMALL.data) * 8 - 1))
def test_any_single_flipped_bit_is_found(look: Look, bit: int) -> None:
    compare_digests(SMALL.entry.key, SMALL.data)
    damaged = bytearray(SMALL.data)
    damaged[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SegmentDamaged) as caught:
        look(SMALL.entry.key, bytes(damaged))
    assert caught.value.segment == SMALL.entry.key
    assert caught.value.offset is not None


@looks
@settings(max_examples=examples(60))
@given(length=st.integers(0, len(SMALL.data) - 1))
def test_a_segment_that_was_cut_anywhere_is_found(look: Look, length: int) -> None:
    with pytest.raises(SegmentDamaged) as caught:
        look(SMALL.entry.key, SMALL.data[:length])
    assert caught.value.offset is not None


@looks
def test_damage_is_told_with_the_block_that_it_lies_in(look: Look) -> None:
    head = decode_head(SEGMENT.entry.key, SEGMENT.data)
    block = head.header.blocks[1]
    damaged = bytearray(SEGMENT.data)
    damaged[head.blocks_at + block.offset + 7] ^= 1
    with pytest.raises(SegmentDamaged) as caught:
        look(SEGMENT.entry.key, bytes(damaged))
    assert (caught.value.offset, caught.value.number) == (head.blocks_at + block.offset, BLOCK_EVENTS_MAX + 1)
    place = f"{SEGMENT.entry.key}@{head.blocks_at + block.offset} (event {BLOCK_EVENTS_MAX + 1})"
    assert str(caught.value).startswith(place)


def test_a_block_is_read_without_the_others() -> None:
    head = decode_head(SEGMENT.entry.key, SEGMENT.data[:4_096])
    block = head.header.blocks[2]
    start = head.blocks_at + block.offset
    found = decode_block(head, 2, SEGMENT.data[start : start + block.size_bytes])
    assert [entry.number for entry in found] == [2_001, 2_002, 2_003, 2_004, 2_005]


@looks
def test_bytes_behind_the_end_are_found(look: Look) -> None:
    with pytest.raises(SegmentDamaged, match="follow its end"):
        look(SMALL.entry.key, SMALL.data + b"\0")


@looks
def test_a_segment_under_another_name_is_found(look: Look) -> None:
    with pytest.raises(SegmentDamaged, match="it holds events"):
        look(SEGMENT.entry.key, SMALL.data)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "ends after 0"),
        (b"M", "ends after 1"),
        (b"PK\3\4" + b"\0" * 100, "does not begin"),
        (MAGIC + (HEADER_BYTES_MAX + 1).to_bytes(4) + b"\0" * 64, "claims"),
        (MAGIC + (10).to_bytes(4) + b"\0" * 64, "not what was written"),
    ],
)
def test_what_is_no_segment_is_refused(data: bytes, what: str) -> None:
    with pytest.raises(SegmentDamaged, match=what):
        decode_segment("archive/00.1/x.seg", data)


def forged(**changes: Any) -> bytes:
    """A header that somebody wrote on purpose, with the right digest."""
    head = decode_head(SMALL.entry.key, SMALL.data)
    header = msgspec.structs.replace(head.header, **changes)
    encoded = msgspec.msgpack.encode(header)
    prefix = MAGIC + len(encoded).to_bytes(4) + hashlib.sha256(encoded).digest()
    return prefix + encoded + SMALL.data[head.blocks_at :]


def forged_block(**changes: Any) -> bytes:
    (block,) = decode_head(SMALL.entry.key, SMALL.data).header.blocks
    return forged(blocks=(msgspec.structs.replace(block, **changes),))


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (forged(format=2), "format 2"),
        (forged(count=7), "counts other events"),
        (forged(last_number=9), "counts other events"),
        (forged(blocks=()), "counts other events"),
        (forged(origin=msgspec.structs.replace(ORIGIN, tag="01.1")), "it holds events"),
        (forged_block(raw_bytes=10_000_000_000), "claims"),
        (forged_block(raw_bytes=BLOCK_BYTES_MAX), "cannot be read"),
        (forged_block(raw_bytes=1), "cannot be read"),
        (forged_block(first_number=2), "do not follow"),
        (forged_block(offset=3), "do not follow"),
    ],
)
def test_a_header_that_lies_is_refused(data: bytes, what: str) -> None:
    with pytest.raises(SegmentDamaged, match=what):
        decode_segment(SMALL.entry.key, data)


def test_a_frame_that_unpacks_to_more_than_was_said_is_not_unpacked() -> None:
    bomb = compress(b"\0" * 50_000_000)
    assert len(bomb) < 10_000
    with pytest.raises(ValueError, match="too small"):
        decompress(bomb, 1_000)


@pytest.mark.parametrize(
    "wrong",
    [
        [*entries(3), *entries(2, first=5)],
        [*entries(3), *entries(2, first=3)],
        [*entries(3), *entries(1)],
        [entries(2)[1], entries(2)[0]],
        [Entry(1, 5, 0, 1, b""), Entry(1, 5, 0, 2, b"")],
        [Entry(1, 5, 0, 1, b""), Entry(1, 4, 9, 2, b"")],
    ],
    ids=["gap", "overlap", "duplicate", "reversed", "same place", "earlier place"],
)
def test_events_that_do_not_follow_one_another_are_never_packed(wrong: list[Entry]) -> None:
    with pytest.raises(SegmentDamaged):
        encode_segment(ORIGIN, wrong)


def test_a_segment_without_events_is_never_packed() -> None:
    with pytest.raises(ValueError, match="at least one"):
        encode_segment(ORIGIN, [])


def chain(*counts: int) -> list[Encoded]:
    made: list[Encoded] = []
    first, previous = 1, DIGEST_OF_NOTHING
    for count in counts:
        made.append(encode_segment(msgspec.structs.replace(ORIGIN, previous=previous), entries(count, first=first)))
        first, previous = first + count, made[-1].entry.digest
    return made


def check_chain(segments: list[SegmentEntry]) -> None:
    before: SegmentEntry | None = None
    for segment in segments:
        check_follows(segment, before, digest_before=before.digest if before else DIGEST_OF_NOTHING)
        before = segment


def test_a_chain_tells_what_is_missing_repeated_or_out_of_order() -> None:
    one, two, three = (made.entry for made in chain(3, 4, 5))
    check_chain([one, two, three])
    with pytest.raises(SegmentDamaged, match="missing before it: events 4 to 7") as caught:
        check_chain([one, three])
    assert (caught.value.segment, caught.value.number) == (three.key, 4)
    for wrong in ([one, two, two], [one, three, two], [two, three], [one, one, two]):
        with pytest.raises(SegmentDamaged):
            check_chain(wrong)
    other = encode_segment(msgspec.structs.replace(ORIGIN, previous="f" * 64), entries(4, first=4)).entry
    with pytest.raises(SegmentDamaged, match="another segment"):
        check_chain([one, other])
    early = msgspec.structs.replace(two, first=one.first)
    with pytest.raises(SegmentDamaged, match="lies before"):
        check_chain([one, early])


def test_large_events_make_more_blocks() -> None:
    packed = encode_segment(ORIGIN, entries(100, payload=bytes(60_000)))
    head = decode_head(packed.entry.key, packed.data)
    assert len(head.header.blocks) == 3
    assert len(decode_segment(packed.entry.key, packed.data).entries) == 100


def test_an_entry_becomes_the_event_that_the_log_would_have_given() -> None:
    task = new_task()
    wanted = envelope(new_document(), 1, accepted(task, new_knowledge_base()), task=task)
    [found] = events_of([Entry(1, 7, 2, 9, encode(wanted))])
    assert isinstance(found, Envelope)
    assert msgspec.structs.replace(found, position=None, number=None) == wanted
    assert (str(found.position), found.number) == ("1-7-2", 9)
    [junk] = events_of([Entry(1, 7, 2, 9, b"junk")])
    assert isinstance(junk, Unreadable)
    assert junk.payload == b"junk"


def test_the_first_bytes_tell_how_long_the_header_is() -> None:
    assert len(SMALL.data) > PREFIX_BYTES
    assert decode_head(SMALL.entry.key, SMALL.data[: SMALL.entry.size_bytes]).entry() == SMALL.entry
    with pytest.raises(SegmentDamaged, match="within its header"):
        decode_head(SMALL.entry.key, SMALL.data[: PREFIX_BYTES + 9])
