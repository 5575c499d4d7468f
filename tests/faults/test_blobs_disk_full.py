"""Disks that are full: that of blobs and index, and that of Redis: fault F-35.

Each is a small tmpfs. Where mounting is not allowed the tests are skipped: limits on the size of files or quotas would
also be met by the logs and libraries of the same processes.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.faults.checker import verdict
from tests.faults.documents import (
    blob_files,
    documents_of,
    evidence_of,
    failures_of,
    submit_each,
    texts,
    wait_until_each_has_failed_once,
    wait_until_ended,
)
from tests.faults.history import Call, History, Outcome
from tests.faults.mill import WORKERS, Mill
from tests.faults.results import ROUNDS, recorded

MIB: Final = 1024 * 1024
DISK_BYTES: Final = 24 * MIB
RECOVERED_S_MAX: Final = 10.0
OUTAGES: Final = {"blob_store_full", "blob_store_unavailable", "index_unavailable"}


@pytest.fixture(scope="module")
def mill() -> Iterator[Mill]:
    if sys.platform != "linux":
        pytest.skip("tmpfs is Linux's")
    with Mill() as made:
        disks = [made.data_dir, made.directory / "redis"]
        try:
            for disk in disks:
                mount(disk)
            yield made.start_all()
        finally:
            made.end()
            for disk in disks:
                subprocess.run(["umount", "--lazy", str(disk)], check=False, capture_output=True)


def mount(directory: Path) -> None:
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=700", "tmpfs", str(directory)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")


class Ballast:
    """A file that takes what is left of a disk, but for `leaves` bytes; gone at the end of the block."""

    def __init__(self, disk: Path, *, leaves: int = 0) -> None:
        self._path = disk / "ballast"
        self._leaves = leaves

    def __enter__(self) -> None:
        with self._path.open("wb", buffering=0) as file:
            try:
                while file.write(bytes(64 * 1024)) > 0:
                    pass
            except OSError:
                file.truncate(max(0, file.tell() - self._leaves))

    def __exit__(self, *_: object) -> None:
        self._path.unlink()


def refused_as_full(call: Call) -> bool:
    return call.outcome is Outcome.FAIL and call.status == 507 and call.code == "storage_full"


def test_f35_a_full_disk_of_blobs_and_index_refuses_uploads_and_delays_documents(mill: Mill, history: History) -> None:
    with recorded("F-35", "disk of blobs and index full", f"tmpfs of {DISK_BYTES // MIB} MB, filled up") as row:
        for number in range(ROUNDS):
            kb = history.create(f"full-{number}")
            for name in WORKERS:
                mill.stop(name)
            documents = documents_of(submit_each(history, kb, texts(6)))
            before = blob_files(mill)
            with Ballast(mill.data_dir, leaves=MIB):
                assert refused_as_full(history.upload(kb, [("large.txt", b"long " * MIB)]))
                assert blob_files(mill) == before, "nothing stays of an upload for which there is no room"
            with Ballast(mill.data_dir):
                assert refused_as_full(history.upload(kb, texts(1, "refused")))
                assert blob_files(mill) == before
                for name in WORKERS:
                    mill.cont(name)
                wait_until_each_has_failed_once(history, kb, documents)
            room_s = time.monotonic()
            wait_until_ended(history, kb, documents)
            recovered_s = time.monotonic() - room_s
            found = verdict(mill, history, kb).assert_clean()
            assert set(failures_of(evidence_of(mill), documents)) <= OUTAGES
            assert recovered_s <= RECOVERED_S_MAX
            row.add({"recovered_s": recovered_s, "partial_files_left": 0, **found.figures})


def test_f35_a_full_disk_of_redis_costs_nothing_that_was_accepted(mill: Mill, history: History) -> None:
    with recorded("F-35", "disk of Redis full", "tmpfs filled up; Redis, which ends, is started again") as row:
        for number in range(ROUNDS):
            kb = history.create(f"log-full-{number}")
            before = submit_each(history, kb, texts(6, "before"))
            with Ballast(mill.directory / "redis"):
                refused = history.upload(kb, texts(1, "refused"), key=f"kept-{number}")
                for _ in range(20):
                    refused = history.upload(kb, texts(1, "refused"), key=f"kept-{number}")
                    if refused.outcome is not Outcome.OK:
                        break
            assert refused.status in {503, 507}, refused
            assert refused.code in {"dependency_unavailable", "storage_full"}
            mill.redis.stop()
            mill.redis.start()
            room_s = time.monotonic()
            after = history.submit(kb, texts(1, "refused"), key=f"kept-{number}")
            assert after.status == 202, after
            recovered_s = time.monotonic() - room_s
            found = verdict(mill, history, kb).assert_clean()
            assert found.documents == len(before) + 1
            assert recovered_s <= RECOVERED_S_MAX
            row.add({"recovered_s": recovered_s, **found.figures})
