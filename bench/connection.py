"""What judging a connection costs: the scan of a head, and the processor's time of a server beside uvicorn's own.

    PYTHONPATH=src:. python bench/connection.py [rounds]

The server runs on the main thread, whose time alone is counted; clients run on others. Rounds of the two alternate,
medians are printed. Goals: a head of a browser within 10 µs, a request within 15 µs and a GB within 0.3 s of uvicorn's.
"""

import asyncio
import socket
import statistics
import sys
import time
import timeit
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import uvicorn
import uvloop
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bench.figures import Peer, note, reported
from millstream.connection.framing import scan_head
from millstream.connection.limits import ConnectionLimits
from millstream.connection.protocol import connections

ROUNDS: Final = 5
REQUESTS: Final = 5_000
BODY_BYTES: Final = 1_000_000_000
PIECE: Final = b"x" * 262_144
CHUNKS: Final = (b"4000\r\n" + b"x" * 16_384 + b"\r\n") * 16
GET: Final = b"GET /api/v1/tasks HTTP/1.1\r\nHost: mill\r\nAccept: */*\r\nUser-Agent: curl/8.5.0\r\n\r\n"
BROWSER: Final = b"\r\n".join(
    [
        b"POST /api/v1/knowledge-bases/kb_0001a20a8aab3e7206a4b0b84f35404316/documents HTTP/1.1",
        b"Host: 127.0.0.1:8321",
        b"Connection: keep-alive",
        b"Content-Length: 123456",
        b"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/131.0.0.0 Safari/537.36",
        b'sec-ch-ua: "Google Chrome";v="131", "Chromium";v="131", "Not_A Brand";v="24"',
        b"Content-Type: multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW",
        b"Accept: */*",
        b"Origin: http://127.0.0.1:8321",
        b"Sec-Fetch-Site: same-origin",
        b"Sec-Fetch-Mode: cors",
        b"Sec-Fetch-Dest: empty",
        b"Referer: http://127.0.0.1:8321/",
        b"Accept-Encoding: gzip, deflate, br, zstd",
        b"Accept-Language: en-US,en;q=0.9,zh;q=0.8",
        b"",
        b"",
    ]
)


async def sink(_scope: Scope, receive: Receive, send: Send) -> None:
    """Reads all there is and says so."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


@asynccontextmanager
async def serving(protocol: type[asyncio.Protocol]) -> AsyncIterator[int]:
    """The port of a server of that protocol, on this loop."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(sink, http=protocol, lifespan="off", log_level="critical", access_log=False, ws="none")
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listener])
    try:
        yield listener.getsockname()[1]
    finally:
        await server.shutdown(sockets=[listener])


def ask_often(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        for _ in range(REQUESTS):
            connection.sendall(GET)
            connection.recv(4_096)


def send_body(port: int, framing: bytes, piece: bytes, end: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: mill\r\n" + framing + b"\r\n\r\n")
        for _ in range(BODY_BYTES // len(PIECE)):
            connection.sendall(piece)
        connection.sendall(end)
        connection.recv(4_096)


def send_length(port: int) -> None:
    send_body(port, b"Content-Length: %d" % (BODY_BYTES // len(PIECE) * len(PIECE)), PIECE, b"")


def send_chunks(port: int) -> None:
    send_body(port, b"Transfer-Encoding: chunked", CHUNKS, b"0\r\n\r\n")


async def processor_s(protocol: type[asyncio.Protocol], client: Callable[[int], None]) -> float:
    async with serving(protocol) as port:
        before_s = time.thread_time()
        await asyncio.to_thread(client, port)
        return time.thread_time() - before_s


async def main(rounds: int) -> None:
    limits = ConnectionLimits()
    for name, head in (("curl", GET), ("browser", BROWSER)):
        scan = timeit.Timer(partial(scan_head, head, limits), timer=time.thread_time)
        took_s = min(scan.repeat(rounds, number=20_000)) / 20_000
        note(f"scan of a head, {name}", "µs", took_s * 1e6)
        print(f"scan of a head, {name:<8} {len(head):>5} bytes {took_s * 1e6:8.1f} µs")
    contestants: dict[str, type[asyncio.Protocol]] = {"uvicorn": HttpToolsProtocol, "ours": connections(limits)}
    loads = {"µs a request": (ask_often, 1e6 / REQUESTS), "ms a GB, length": (send_length, 1e3)}
    loads["ms a GB, chunks of 16 KiB"] = (send_chunks, 1e3)
    for what, (client, scale) in loads.items():
        took: dict[str, list[float]] = {name: [] for name in contestants}
        for _ in range(rounds):
            for name, protocol in contestants.items():
                took[name].append(await processor_s(protocol, client) * scale)
        note(what, what.split()[0], took["ours"], beside=Peer("uvicorn", took["uvicorn"]))
        shown = ", ".join(f"{name} {statistics.median(values):.0f}" for name, values in took.items())
        print(f"{what:<28} {shown}")


if __name__ == "__main__":
    with reported():
        uvloop.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS))
