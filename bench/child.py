"""A server under load as a process of its own, for as long as a measurement lasts."""

import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx


@contextmanager
def child(command: list[str], environment: Mapping[str, str], probe_url: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)
    try:
        until_answers(process, probe_url)
        yield process
    finally:
        process.terminate()
        process.wait(20)


def until_answers(process: subprocess.Popen[Any], url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, "the server ended at its start"
        try:
            httpx.get(url, trust_env=False, timeout=1)
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the server does not answer")
