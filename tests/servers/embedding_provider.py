"""A real HTTP server that speaks OpenAI's embeddings protocol, and misbehaves by script."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec

from knowledge.hash_embedder import HashEmbedder

DIMENSIONS = 256
KEY = "sk-very-secret"
FLOOD = b" " * 1024 * 1024
"""White space is JSON as far as it goes: only a cap on its bytes ends such an answer."""

Reply = tuple[int, dict[str, str], bytes]


def embeddings(body: dict[str, Any], dimensions: int = DIMENSIONS) -> Reply:
    """What a well-behaved provider answers, last text first: `index` gives the order, not the place."""
    hashing = HashEmbedder(dimensions=dimensions)
    data = [
        {"object": "embedding", "index": index, "embedding": hashing.counts(text).tolist()}
        for index, text in enumerate(body["input"])
    ]
    return 200, {}, msgspec.json.encode({"object": "list", "data": data[::-1], "model": body["model"]})


class EmbeddingProvider(ThreadingHTTPServer):
    """Answers with `reply`, or with the next of `script` while there is one; keeps what it was asked, and when.

    `is_silent` makes it wait for `release` before it answers; with `drip_bytes` it sends so many bytes at a time, ten
    times a second; `is_cut` closes the connection in the middle of an answer; `flood_bytes` are sent in place of one,
    and `flooded_bytes` counts how much of that was taken.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.reply: Callable[[dict[str, Any]], Reply] = embeddings
        self.script: list[Callable[[dict[str, Any]], Reply]] = []
        self.bodies: list[dict[str, Any]] = []
        self.times_s: list[float] = []
        self.authorizations: list[str | None] = []
        self.is_silent = False
        self.is_cut = False
        self.drip_bytes = 0
        self.flood_bytes = 0
        self.flooded_bytes = 0
        self.release = threading.Event()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    @property
    def texts(self) -> list[str]:
        """Every text that it was sent, in order."""
        return [text for body in self.bodies for text in body["input"]]


class _Handler(BaseHTTPRequestHandler):
    server: EmbeddingProvider

    def do_POST(self) -> None:
        provider = self.server
        body = msgspec.json.decode(self.rfile.read(int(self.headers["Content-Length"])))
        provider.times_s.append(time.monotonic())
        provider.bodies.append({"path": self.path, **body})
        provider.authorizations.append(self.headers["Authorization"])
        if provider.is_silent:
            provider.release.wait(30)
        reply = provider.script.pop(0) if provider.script else provider.reply
        status, headers, content = reply(body)
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(provider.flood_bytes or len(content)))
        self.end_headers()
        try:
            self._send(content)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client has had enough

    def _send(self, content: bytes) -> None:
        provider = self.server
        if provider.flood_bytes:
            for _ in range(0, provider.flood_bytes, len(FLOOD)):
                self.wfile.write(FLOOD)
                provider.flooded_bytes += len(FLOOD)
        elif provider.is_cut:
            self.wfile.write(content[: len(content) // 2])
            self.close_connection = True
        elif provider.drip_bytes:
            for start in range(0, len(content), provider.drip_bytes):
                self.wfile.write(content[start : start + provider.drip_bytes])
                if provider.release.wait(0.1):
                    return
        else:
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is the base class's
        """Tests print nothing."""


@contextmanager
def embedding_provider() -> Iterator[EmbeddingProvider]:
    """A server that listens, until the end."""
    server = EmbeddingProvider()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.release.set()
        server.shutdown()
        thread.join()
        server.server_close()
