"""Attachments of an Outlook mail are found in its compound file, and a damaged one harms nobody."""

import struct
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.compound_file import CompoundFile, CompoundFileDamaged
from knowledge.errors import ParseError, ParseErrorCode
from knowledge.limits import ParseLimits
from knowledge.media_type import MediaType, sniff
from knowledge.members import Member
from knowledge.outlook import msg_members
from knowledge.parsers import parse

SECTOR = 512
END, FREE, OF_TABLE = 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD
Streams = dict[str, bytes]


def compound_file(top: Streams, storages: dict[str, Streams]) -> bytes:
    """A file of version 3: small streams in the mini stream, large ones in sectors, siblings in a list to the right."""
    entries: list[list[object]] = [["Root Entry", 5, FREE, FREE, 1, END, 0]]
    mini, mini_table, sectors, table = b"", list[int](), list[bytes](), list[int]()

    def chain(data: bytes) -> int:
        if not data:
            return END
        start = len(sectors)
        pieces = [data[at : at + SECTOR].ljust(SECTOR, b"\0") for at in range(0, len(data), SECTOR)]
        sectors.extend(pieces)
        table.extend([*range(start + 1, start + len(pieces)), END])
        return start

    def add(name: str, kind: int, data: bytes = b"") -> int:
        nonlocal mini
        start = END
        if len(data) >= 4_096:
            start = chain(data)
        elif data:
            start, count = len(mini) // 64, -(-len(data) // 64)
            mini += data.ljust(count * 64, b"\0")
            mini_table.extend([*range(start + 1, start + count), END])
        entries.append([name, kind, FREE, FREE, FREE, start, len(data)])
        return len(entries) - 1

    def linked(numbers: list[int]) -> int:
        ordered = sorted(numbers, key=lambda number: (len(str(entries[number][0])), entries[number][0]))
        for one, following in pairwise(ordered):
            entries[one][3] = following
        return ordered[0] if ordered else FREE

    above = [add(name, 2, data) for name, data in top.items()]
    for name, streams in storages.items():
        above.append(storage := add(name, 1))
        entries[storage][4] = linked([add(inner, 2, data) for inner, data in streams.items()])
    entries[0][4] = linked(above)
    entries[0][5], entries[0][6] = chain(mini), len(mini)
    mini_start = chain(b"".join(struct.pack("<I", number) for number in mini_table))
    directory = chain(b"".join(packed(*entry) for entry in entries))  # type: ignore[arg-type]
    tables = -(-(len(sectors) + 2) // 128)
    table_starts = list(range(len(sectors), len(sectors) + tables))
    table += [OF_TABLE] * tables
    head = bytearray(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".ljust(76, b"\0"))
    struct.pack_into("<HHHHH", head, 24, 0x3E, 3, 0xFFFE, 9, 6)
    struct.pack_into("<IIIIIIII", head, 44, tables, directory, 0, 4_096, mini_start, 1, END, 0)
    head += struct.pack("<109I", *table_starts, *[FREE] * (109 - tables))
    words = table + [FREE] * (tables * 128 - len(table))
    return bytes(head) + b"".join(sectors) + struct.pack(f"<{len(words)}I", *words)


def packed(name: str, kind: int, left: int, right: int, child: int, start: int, size: int) -> bytes:
    encoded = name.encode("utf-16-le") + b"\0\0"
    head = encoded.ljust(64, b"\0") + struct.pack("<HBBIII", len(encoded), kind, 1, left, right, child)
    return (head + bytes(36) + struct.pack("<IQ", start, size)).ljust(128, b"\0")


def attachment(data: bytes | None, **named: str) -> Streams:
    tags = {"long": "3707", "short": "3704", "content_id": "3712"}
    streams = {f"__substg1.0_{tags[key]}001F": value.encode("utf-16-le") for key, value in named.items()}
    return streams | ({} if data is None else {"__substg1.0_37010102": data})


def message(*attachments: Streams) -> bytes:
    top = {
        "__properties_version1.0": bytes(32),
        "__substg1.0_0037001F": "Stones".encode("utf-16-le"),
        "__substg1.0_1000001F": "See the attached.".encode("utf-16-le"),
    }
    return compound_file(top, {f"__attach_version1.0_#{n:08X}": one for n, one in enumerate(attachments)})


def members(data: bytes) -> list[Member]:
    return list(msg_members(data, ParseLimits()))


def test_small_and_large_attachments_are_found_under_their_long_names() -> None:
    large = bytes(range(256)) * 100
    found = members(
        message(attachment(b"Flour.", long="../磨坊.txt", short="MOFANG~1.TXT"), attachment(large, short="a.bin"))
    )
    assert [(one.path, one.data) for one in found] == [("磨坊.txt", b"Flour."), ("a.bin", large)]


def test_a_mail_is_read_with_its_attachments() -> None:
    logo = attachment(b"\x89PNG\r\n\x1a\n", long="logo.png", content_id="<logo>")
    data = message(attachment("石磨转动。".encode(), long="a.txt"), attachment(None, long="forwarded"), logo)
    assert sniff(data, data, "mail.msg") is MediaType.MSG
    parsed = parse(data, MediaType.MSG, "mail.msg", ParseLimits())
    assert "See the attached." in parsed.text
    assert parsed.heading_path(parsed.text.rindex("石磨")) == ("a.txt",)
    assert [one for one in parsed.warnings if "skipped" in one] == ["skipped: forwarded (unsupported_type)"]


def test_names_of_eight_bits_are_read_in_their_encoding() -> None:
    streams = {"__substg1.0_3707001E": "石磨转动修凿说明.txt".encode("gb18030"), "__substg1.0_37010102": b"x"}
    assert [one.path for one in members(message(streams))] == ["石磨转动修凿说明.txt"]


def test_too_many_attachments_are_refused() -> None:
    data = message(*(attachment(b"x", long=f"{n}.txt") for n in range(5)))
    with pytest.raises(ParseError) as caught:
        list(msg_members(data, ParseLimits(archive_entries_max=4)))
    assert caught.value.code is ParseErrorCode.ARCHIVE_LIMIT


def test_chains_that_lead_back_are_damage() -> None:
    data = bytearray(message(attachment(bytes(10_000), long="a.bin")))
    table = len(data) - SECTOR
    for sector in range(SECTOR // 4):
        struct.pack_into("<I", data, table + 4 * sector, 0)
    with pytest.raises(CompoundFileDamaged, match="leads back"):
        CompoundFile(bytes(data))
    assert members(bytes(data)) == []


@given(st.data())
def test_a_damaged_file_gives_what_is_left_and_never_breaks(data: st.DataObject) -> None:
    file = bytearray(message(attachment(b"Flour." * 900, long="a.txt"), attachment(b"Bran.", long="b.txt")))
    for _ in range(data.draw(st.integers(1, 8))):
        file[data.draw(st.integers(0, len(file) - 1))] = data.draw(st.integers(0, 255))
    found: list[Member] = []
    with suppress(ParseError):  # anything else that is raised fails this test
        found = members(bytes(file[: data.draw(st.integers(0, len(file)))]))
    assert len(found) <= 2
