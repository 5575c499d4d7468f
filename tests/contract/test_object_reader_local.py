"""The reader of a directory keeps the contract, and follows no link out of it."""

from pathlib import Path

import pytest

from blobs.errors import BlobMissing, BlobStoreUnavailable
from blobs.local_objects import LocalObjects
from tests.contract.object_reader_contract import OBJECTS, ObjectReaderContract


class TestLocalObjects(ObjectReaderContract):
    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        (tmp_path / "outside").write_bytes(b"secret")
        root = tmp_path / "objects"
        for key, content in OBJECTS.items():
            path = root / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return root

    @pytest.fixture
    def reader(self, root: Path) -> LocalObjects:
        return LocalObjects(root)

    async def test_a_link_within_is_followed_and_one_that_leads_out_is_not(
        self, root: Path, reader: LocalObjects
    ) -> None:
        (root / "within").symlink_to(root / "plain.txt")
        (root / "out").symlink_to(root.parent / "outside")
        (root / "up").symlink_to(root.parent)
        assert [piece async for piece in reader.read("within")] == [b"flour"]
        for key in ("out", "up/outside"):
            with pytest.raises(BlobMissing):
                [piece async for piece in reader.read(key)]

    async def test_nothing_is_written(self, root: Path, reader: LocalObjects) -> None:
        before = sorted(root.parent.rglob("*"))
        [piece async for piece in reader.read("plain.txt")]
        assert sorted(root.parent.rglob("*")) == before

    async def test_a_directory_that_is_not_there_may_come_back(self, tmp_path: Path) -> None:
        with pytest.raises(BlobStoreUnavailable):
            [piece async for piece in LocalObjects(tmp_path / "gone").read("plain.txt")]
