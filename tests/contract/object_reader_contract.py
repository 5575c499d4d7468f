"""What holds of every reader of objects that others put somewhere."""

import pytest

from blobs.errors import BlobMissing, InvalidBlobKey
from blobs.objects import ObjectReader

OBJECTS = {
    "plain.txt": b"flour",
    "reports/2026/年度 报告 (1).pdf": b"%PDF-1.7" + bytes(3_000_000),
    "empty": b"",
}
BAD_KEYS = (
    *("", "/etc/passwd", "../outside", "reports/../../outside", "a//b", "a/./b", "a/", "..", "a\\b", "a\0b", "a\nb"),
    *("k" * 1_025, "\ud800"),
)


class ObjectReaderContract:
    """A test file for each implementation gives `reader`, over a place with `OBJECTS` in it and `outside` beside it."""

    @pytest.mark.parametrize("key", OBJECTS)
    async def test_an_object_is_read_whole(self, reader: ObjectReader, key: str) -> None:
        assert b"".join([piece async for piece in reader.read(key)]) == OBJECTS[key]

    @pytest.mark.parametrize("key", ["nothing", "reports", "reports/2026", "plain.txt/below"])
    async def test_what_is_not_there_is_missing(self, reader: ObjectReader, key: str) -> None:
        with pytest.raises(BlobMissing):
            [piece async for piece in reader.read(key)]

    @pytest.mark.parametrize("key", BAD_KEYS, ids=range(len(BAD_KEYS)))
    async def test_no_key_leads_out_of_the_place(self, reader: ObjectReader, key: str) -> None:
        with pytest.raises(InvalidBlobKey):
            [piece async for piece in reader.read(key)]

    async def test_a_reader_that_stops_holds_nothing(self, reader: ObjectReader) -> None:
        for _ in range(3):
            pieces = reader.read("reports/2026/年度 报告 (1).pdf")
            assert (await anext(pieces)).startswith(b"%PDF")
            await pieces.aclose()
