"""What a file is, seen while it streams by."""

import io
import os
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.media_type import SNIFF_BYTES, MediaType
from knowledge.type_probe import TypeProbe
from tests.multipart_forms import cut


def office_file(*, picture_first: bool) -> bytes:
    """A .docx with a large picture, in the order of careful and of careless writers."""
    parts = [("[Content_Types].xml", b"<Types/>"), ("word/document.xml", b"<w:document/>")]
    picture = ("media/picture.png", os.urandom(3 * SNIFF_BYTES))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in [picture, *parts] if picture_first else [*parts, picture]:
            archive.writestr(name, data)
    return buffer.getvalue()


async def probed(pieces: list[bytes], filename: str) -> TypeProbe:
    probe = TypeProbe(filename)
    for piece in pieces:
        await probe.feed(piece)
    return probe


@pytest.mark.parametrize("picture_first", [False, True])
@pytest.mark.parametrize("step", [1_000, 70_000, 10_000_000])
async def test_an_office_file_is_known_wherever_its_parts_lie(picture_first: bool, step: int) -> None:
    data = office_file(picture_first=picture_first)
    probe = await probed(cut(data, range(0, len(data), step)), "letter.bin")
    assert not probe.is_refused
    assert await probe.finish() is MediaType.DOCX


async def test_a_program_is_refused_as_soon_as_enough_is_seen() -> None:
    probe = TypeProbe("letter.docx")
    await probe.feed(b"\x7fELF" + bytes(1_000))
    assert not probe.is_refused
    await probe.feed(bytes(SNIFF_BYTES))
    assert probe.is_refused


@given(st.lists(st.integers(min_value=0), max_size=8), st.booleans())
async def test_the_type_does_not_depend_on_the_pieces(places: list[int], is_long: bool) -> None:
    data = "# 磨坊手册\n".encode() * (8_000 if is_long else 3)
    probe = await probed(cut(data, places), "handbook.md")
    assert await probe.finish() is MediaType.MARKDOWN
