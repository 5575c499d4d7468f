"""How often the API moves an upload's bytes, counted by the kernel: read once, written once, to a directory and to S3.

A copy more (a temporary file, bytes read again for a digest) costs every upload its size in memory traffic or on disk.
"""

import datetime as dt
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.e2e.api import Api
from tests.servers.s3_gateway import S3Server
from tests.servers.service_process import ServiceProcess

pytest_plugins = ("tests.servers.s3",)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel counts in /proc/PID/io")

SMALL_BYTES: Final = 1_048_576
LARGE_BYTES: Final = 25_165_824
"""Their difference is looked at, so that heads, answers and Redis do not count; the larger goes to S3 in parts."""

ROUNDS: Final = 3
"""The least of them counts: in one the process may load what it warms up with."""

OVERHEAD: Final = 0.05
"""Of the bytes: frames, boundaries, signatures, and whatever else the process does meanwhile."""


class Moved(NamedTuple):
    """Bytes that went through read and write, files and sockets alike."""

    read: int
    written: int


@pytest.fixture(scope="module", params=["directory", "s3"])
def service(request: pytest.FixtureRequest) -> Iterator[ServiceProcess]:
    variables = {"MILLSTREAM_WORKERS": "1", "MILLSTREAM_EMBEDDING": "hash"}
    if request.param == "s3":
        server: S3Server = request.getfixturevalue("s3_server")
        variables |= {
            "MILLSTREAM_BLOBS_URL": f"s3://{server.bucket}/copies",
            "MILLSTREAM_S3_ENDPOINT_URL": server.endpoint_url,
            "MILLSTREAM_S3_ACCESS_KEY": server.access_key,
            "MILLSTREAM_S3_SECRET_KEY": server.secret_key,
        }
    with tempfile.TemporaryDirectory(prefix="ms-copies-") as folder:
        service = ServiceProcess(Path(folder) / "data", variables)
        try:
            service.start()
            yield service
        finally:
            service.end()


def test_the_bytes_of_an_upload_are_read_once_and_written_once(service: ServiceProcess) -> None:
    with Api(service.url) as api:
        kb = api.create("copies")
        small = least_moved_by(service, api, kb, SMALL_BYTES)
        large = least_moved_by(service, api, kb, LARGE_BYTES)

    bytes_more = LARGE_BYTES - SMALL_BYTES
    assert (large.read - small.read) / bytes_more == pytest.approx(1, abs=OVERHEAD)
    assert (large.written - small.written) / bytes_more == pytest.approx(1, abs=OVERHEAD)


def least_moved_by(service: ServiceProcess, api: Api, kb: str, size_bytes: int) -> Moved:
    """By the API, while it accepts a document of that size."""
    reads, writes = list[int](), list[int]()
    for number in range(ROUNDS):
        before = moved_until_now(service)
        accepted(api, kb, number, size_bytes)
        after = moved_until_now(service)
        reads.append(after.read - before.read)
        writes.append(after.written - before.written)
    return Moved(min(reads), min(writes))


def moved_until_now(service: ServiceProcess) -> Moved:
    lines = Path(f"/proc/{service.pids['api']}/io").read_text().splitlines()
    counts = {name: int(value) for name, value in (line.split(": ") for line in lines)}
    return Moved(counts["rchar"], counts["wchar"])


def accepted(api: Api, kb: str, number: int, size_bytes: int) -> None:
    """A text that is to wait until tomorrow: no worker reads it meanwhile."""
    tomorrow = (dt.datetime.now(dt.UTC) + dt.timedelta(days=1)).isoformat()
    content = (f"Sack {number}: the runner stone was lifted and set back. " * size_bytes).encode()[:size_bytes]
    response = api.http.post(
        f"/knowledge-bases/{kb}/documents",
        files={
            "options": (None, json.dumps({"not_before": tomorrow}), "application/json"),
            "file": (f"sacks-{number}.txt", content, "text/plain"),
        },
    )
    assert response.status_code == 202, response.text
