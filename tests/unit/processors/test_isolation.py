"""A process that was isolated reaches nobody; tried in children, for there is no way back."""

import subprocess
import sys
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[3] / "src"
TRIES = {
    "tcp": "socket.socket(socket.AF_INET)",
    "unix": "socket.socket(socket.AF_UNIX)",
    "udp": "socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)",
    "program": "subprocess.run([sys.executable, '-c', 'import socket; socket.socket()'], check=True)",
}


@pytest.mark.skipif(sys.platform != "linux", reason="seccomp is Linux")
def test_no_socket_can_be_made_and_event_loops_still_work() -> None:
    lines = ["import asyncio, socket, subprocess, sys, os", "from processors.isolation import isolate"]
    lines += ["failed = isolate()", "assert failed is None, failed", "asyncio.run(asyncio.sleep(0))"]
    for name, attempt in TRIES.items():
        lines += [
            "try:",
            f"    {attempt}",
            f"    print('{name}')",
            "except (OSError, subprocess.SubprocessError): pass",
        ]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, env={"PYTHONPATH": str(SRC)}, check=False
    )
    assert (done.returncode, done.stdout) == (0, b""), done.stderr.decode()
