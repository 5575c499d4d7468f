"""Clients that send bodies over kept connections and time each answer; a process of its own, so that what it costs is
not the server's.

    python bench/upload_load.py < LOAD.json > TIMES.json
"""

import asyncio
import sys
import time
from itertools import count
from urllib.parse import urlsplit

import msgspec
import uvloop

BOUNDARY = "millstream-bench-boundary"
LINE = b"the runner stone was lifted, its furrows dressed, and set back at a gap of some microns; "


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """`requests` bodies of `body_bytes`, `clients` at a time; all differ, by `seed` too.

    One target is POSTed multipart forms; several are PUT one after the other, each once. With `rate_hz` requests start
    by the clock, whatever the answers do: a slow server is then seen in the times, not in the rate.
    """

    url: str
    requests: int
    clients: int
    body_bytes: int
    seed: str
    targets: tuple[str, ...]
    rate_hz: float = 0.0
    expect: int = 202


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds from the first byte of each request to the last of its answer, sorted, and of the whole run."""

    seconds: list[float]
    took_s: float
    refused: dict[int, int]


class Connection:
    def __init__(self, load: Load) -> None:
        self._load = load
        self._address = urlsplit(load.url)
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def send(self, number: int) -> int:
        """The status of the answer."""
        if self._writer is None:
            assert self._address.hostname is not None
            self._reader, self._writer = await asyncio.open_connection(
                self._address.hostname, self._address.port, limit=2**20
            )
        assert self._reader is not None
        head, body = request_of(self._load, number, self._address.netloc)
        self._writer.write(head)
        self._writer.write(body)
        await self._writer.drain()
        answer = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = int(answer.partition(b"content-length:")[2].partition(b"\r\n")[0] or b"0")
        await self._reader.readexactly(length)
        if b"connection: close" in answer:
            self._writer.close()
            self._writer = None
        return int(answer[9:12])


def request_of(load: Load, number: int, host: str) -> tuple[bytes, bytes]:
    start = f"upload {load.seed} {number}: ".encode()
    content = (start + LINE * (load.body_bytes // len(LINE) + 1))[: load.body_bytes]
    if len(load.targets) > 1:
        head = f"PUT {load.targets[number]} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(content)}\r\n\r\n"
        return head.encode(), content
    part = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{load.seed}-{number}.txt"\r\n\r\n'
    body = part.encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()
    head = (
        f"POST {load.targets[0]} HTTP/1.1\r\nHost: {host}\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode(), body


async def run(load: Load) -> Times:
    numbers, seconds, refused = count(), list[float](), dict[int, int]()
    started_s = time.perf_counter()

    async def client() -> None:
        connection = Connection(load)
        for number in numbers:
            if number >= load.requests:
                return
            due_s = started_s + number / load.rate_hz if load.rate_hz else 0.0
            if (early_s := due_s - time.perf_counter()) > 0:
                await asyncio.sleep(early_s)
            began_s = due_s or time.perf_counter()
            status = await connection.send(number)
            seconds.append(time.perf_counter() - began_s)
            if status != load.expect:
                refused[status] = refused.get(status, 0) + 1

    await asyncio.gather(*(client() for _ in range(load.clients)))
    return Times(seconds=sorted(seconds), took_s=time.perf_counter() - started_s, refused=refused)


if __name__ == "__main__":
    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=Load)
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(run(asked))))
