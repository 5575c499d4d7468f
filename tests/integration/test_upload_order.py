"""Blob, sidecar, event: what cannot be stored is in no event, and what is in an event was stored before."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from blobs.errors import BlobError, BlobStoreFull, BlobStoreUnavailable
from blobs.local import LocalBlobStore
from blobs.store import BlobRef
from blobs.writer import Batch, BatchingWriter, Tail, put_whole
from events.task import TaskSubmitted
from tests.integration.ingest_app import make_services, running_mill


class _Refusing:
    """A sink that takes nothing."""

    def __init__(self, refusal: BlobError) -> None:
        self._refusal = refusal

    async def append(self, _batch: Batch) -> None:
        raise self._refusal

    async def carries(self, _size_bytes: int, /) -> bool:
        return False

    async def finish(self, _tail: Tail, _sha256: str, _metadata: bytes, /) -> None:
        raise self._refusal

    async def discard(self) -> None:
        return None


class Choosy(LocalBlobStore):
    """Refuses the sources, or the sidecars beside them."""

    def __init__(self, root: Path, *, refuses_sidecars: bool, refusal: BlobError) -> None:
        super().__init__(root)
        self._refuses_sidecars = refuses_sidecars
        self._refusal = refusal

    def writer(self, key: str) -> BatchingWriter:
        if key.endswith(".json") is self._refuses_sidecars:
            return BatchingWriter(key, _Refusing(self._refusal), batch_bytes=1024)
        return super().writer(key)

    async def put(self, key: str, data: bytes) -> BlobRef:
        return await put_whole(self.writer(key), data)


@pytest.mark.parametrize(
    ("refusal", "status"),
    [(BlobStoreUnavailable("no answer"), 503), (BlobStoreFull("no space is left"), 507)],
    ids=["unavailable", "full"],
)
@pytest.mark.parametrize("refuses_sidecars", [False, True], ids=["source", "sidecar"])
async def test_what_cannot_be_stored_is_in_no_event(
    tmp_path: Path, refusal: BlobError, status: int, refuses_sidecars: bool
) -> None:
    services = make_services(tmp_path)
    await services.blobs.close()
    choosy = Choosy(tmp_path, refuses_sidecars=refuses_sidecars, refusal=refusal)
    async with running_mill(replace(services, blobs=choosy)) as mill:
        knowledge_base = await mill.knowledge_base()
        answer = await mill.client.post(
            f"/api/v1/knowledge-bases/{knowledge_base}/documents", files=[("file", ("a.txt", b"text"))]
        )
        assert answer.status_code == status
        assert [one for one in await mill.facts() if isinstance(one.event, TaskSubmitted)] == []
        assert await mill.blobs() == {}
