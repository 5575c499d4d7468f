"""A knowledge base takes what it has room for: told by headers where they say enough, else by what comes."""

import pytest

from blobs.memory import MemoryBlobStore
from ingest.problems import ProblemCode, Rejected
from ingest.quota import FRAMING_BYTES, MeteredForm, Room


async def test_without_limits_everything_has_room() -> None:
    form, blobs = MeteredForm(Room()), MemoryBlobStore()
    form.announced(10**15)
    async with blobs.writer("a") as blob:
        await form.file(blob).write(bytes(1000))
        assert (await blob.commit()).size_bytes == 1000


@pytest.mark.parametrize(
    ("announced", "is_refused"), [(None, False), (FRAMING_BYTES + 10, False), (FRAMING_BYTES + 11, True)]
)
def test_what_is_announced_may_be_longer_than_the_room_by_the_framing_of_its_form(
    announced: int | None, is_refused: bool
) -> None:
    form = MeteredForm(Room(bytes_left=10))
    if not is_refused:
        form.announced(announced)
        return
    with pytest.raises(Rejected) as refused:
        form.announced(announced)
    assert refused.value.code is ProblemCode.QUOTA_EXCEEDED


@pytest.mark.parametrize("room", [Room(bytes_left=0), Room(bytes_left=-5), Room(documents_left=0)])
def test_nothing_comes_into_what_is_full(room: Room) -> None:
    with pytest.raises(Rejected):
        MeteredForm(room).announced(None)


async def test_bytes_are_counted_over_all_files_of_a_form_and_none_over_the_room_is_written() -> None:
    form, store = MeteredForm(Room(bytes_left=10)), MemoryBlobStore()
    first, second = form.file(store.writer("a")), form.file(store.writer("b"))
    await first.write(bytes(6))
    await second.write(bytes(4))

    with pytest.raises(Rejected) as refused:
        await second.write(b"1")

    assert refused.value.code is ProblemCode.QUOTA_EXCEEDED
    assert second.size_bytes == 4


def test_one_document_more_than_there_is_room_for_is_refused() -> None:
    form, store = MeteredForm(Room(documents_left=1)), MemoryBlobStore()
    form.file(store.writer("a"))

    with pytest.raises(Rejected, match="room for 1 document"):
        form.file(store.writer("b"))
