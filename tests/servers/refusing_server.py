"""A server on loopback that answers from a list and notes what it was asked: for what one program refuses another."""

import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, NamedTuple


class Said(NamedTuple):
    """One answer."""

    status: int
    body: object
    headers: Mapping[str, str] = {}


class RefusingServer(ThreadingHTTPServer):
    """`answers` by path, each in turn, the last one for ever; `asked` are method, path and headers."""

    daemon_threads = True

    def __init__(self, answers: dict[str, list[Said]], tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self._scheme = "http" if tls is None else "https"
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.answers = answers
        self.asked: list[tuple[str, str, dict[str, str]]] = []

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.server_port}"

    def next_for(self, path: str) -> Said:
        waiting = self.answers.get(path) or [Said(404, {"status": {"error": "Not found"}})]
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]


class _Handler(BaseHTTPRequestHandler):
    server: RefusingServer

    def _answer(self) -> None:
        path = self.path.partition("?")[0]
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.server.asked.append((self.command, path, {name.lower(): value for name, value in self.headers.items()}))
        said = self.server.next_for(path)
        body = json.dumps(said.body).encode()
        self.send_response(said.status)
        for name, value in {
            "content-type": "application/json",
            "content-length": str(len(body)),
            **said.headers,
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815  the names of http.server

    def log_message(self, *_: Any) -> None:
        """Not on the terminal of the tests."""


@contextmanager
def refusing_server(answers: dict[str, list[Said]], tls: ssl.SSLContext | None = None) -> Iterator[RefusingServer]:
    """Serves until the block ends."""
    server = RefusingServer(answers, tls)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
