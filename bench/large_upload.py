"""One file of 5 GiB as one multipart request, on a directory and on S3: rate, and what the API's memory rises by.

    PYTHONPATH=src:. python bench/large_upload.py [GiB]

The content is made on the fly. Memory is the kernel's own high-water mark of the process, set back right before the
upload. Goals: at least 50 MB/s; at most 64 MB above what the idle process takes; no temporary copy.
"""

import http.client
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx
import msgspec

from bench.accept import api
from bench.figures import note, reported
from bench.upload_load import BOUNDARY, LINE
from tests.servers.redis_process import RedisProcess, redis_binary
from tests.servers.s3_gateway import start_s3_server, stop_s3_server

GIB: Final = 1024**3
PIECE: Final = (LINE * (1024 * 1024 // len(LINE) + 1))[: 1024 * 1024]


class Seen(msgspec.Struct, frozen=True):
    """Of one upload: bytes a second, and bytes of resident memory before it and at its highest."""

    rate: float
    idle_bytes: int
    peak_bytes: int


def main() -> None:
    size_bytes = int(float(sys.argv[1] if len(sys.argv) > 1 else 5) * GIB)
    for store in ("directory", "S3"):
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ms-bench-")))
            seen = upload(stack, folder, size_bytes, variables(stack, folder) if store == "S3" else {})
            rise_mb = (seen.peak_bytes - seen.idle_bytes) / 1e6
            note(f"{store}: rate", "MB/s", seen.rate / 1e6)
            note(f"{store}: memory above idle", "MB", rise_mb)
            print(
                f"{store}: {size_bytes / GIB:g} GiB at {seen.rate / 1e6:.0f} MB/s; "
                f"{seen.idle_bytes / 1e6:.0f} MB idle, {seen.peak_bytes / 1e6:.0f} MB at most, {rise_mb:+.0f} MB",
                flush=True,
            )


def variables(stack: ExitStack, folder: Path) -> dict[str, str]:
    process, server = start_s3_server(folder)
    stack.callback(stop_s3_server, process)
    return {
        "MILLSTREAM_BLOBS_URL": f"s3://{server.bucket}/mill",
        "MILLSTREAM_S3_ENDPOINT_URL": server.endpoint_url,
        "MILLSTREAM_S3_ACCESS_KEY": server.access_key,
        "MILLSTREAM_S3_SECRET_KEY": server.secret_key,
    }


def upload(stack: ExitStack, folder: Path, size_bytes: int, extra: Mapping[str, str]) -> Seen:
    (redis_folder := folder / "redis").mkdir()
    redis = RedisProcess(redis_binary(), redis_folder)
    redis.start()
    stack.callback(redis.stop)
    url, process = stack.enter_context(api(folder / "data", {"MILLSTREAM_REDIS_URL": redis.url, **extra}))
    created = httpx.post(f"{url}/api/v1/knowledge-bases", json={"name": "bench"}, trust_env=False)
    path = f"/api/v1/knowledge-bases/{created.json()['knowledge_base_id']}/documents"
    send(url, path, 64 * 1024 * 1024)  # connections, threads and buffers are there from then on
    free_bytes = shutil.disk_usage(folder).free
    assert free_bytes > 2 * size_bytes, f"{free_bytes / GIB:.0f} GiB free are not enough"
    Path(f"/proc/{process.pid}/clear_refs").write_text("5")
    idle_bytes = status_bytes(process.pid, "VmRSS")
    took_s = send(url, path, size_bytes)
    return Seen(size_bytes / took_s, idle_bytes, status_bytes(process.pid, "VmHWM"))


def send(url: str, path: str, size_bytes: int) -> float:
    """Seconds from the first byte to the answer."""
    start = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{size_bytes}.txt"\r\n\r\n'.encode()
    end = f"\r\n--{BOUNDARY}--\r\n".encode()

    def body() -> Iterator[bytes]:
        yield start
        for _ in range(size_bytes // len(PIECE)):
            yield PIECE
        yield PIECE[: size_bytes % len(PIECE)]
        yield end

    address = urlsplit(url)
    assert address.hostname is not None
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=600)
    headers = {
        "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
        "Content-Length": str(len(start) + size_bytes + len(end)),
    }
    began_s = time.perf_counter()
    connection.request("POST", path, body=body(), headers=headers)
    answer = connection.getresponse()
    content = answer.read()
    assert answer.status == 202, content
    return time.perf_counter() - began_s


def status_bytes(pid: int, field: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) * 1024


if __name__ == "__main__":
    with reported():
        main()
