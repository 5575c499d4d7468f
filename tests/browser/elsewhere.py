"""What lies outside of the mill, and answers as a test says: a receiver of webhooks, a page to be fetched."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import NamedTuple


class Received(NamedTuple):
    """One message; names of header fields in lower case."""

    headers: dict[str, str]
    body: bytes


class Answer(NamedTuple):
    """What a GET is answered."""

    status: int
    headers: dict[str, str]
    body: bytes = b""


class Receiver(ThreadingHTTPServer):
    """Answers every POST with `status`, and keeps what it was sent; a GET with the next of `pages` (the last: ever)."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 200
        self.received: list[Received] = []
        self.pages: list[Answer] = [Answer(404, {})]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.received.append(Received(headers, body))
        self.send_response(self.server.status)
        self.send_header("content-length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        pages = self.server.pages
        answer = pages.pop(0) if len(pages) > 1 else pages[0]
        self.send_response(answer.status)
        for name, value in {"content-type": "text/plain", **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is the base class's
        """Nobody reads it."""


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Listens until the end."""
    server = Receiver()
    serving = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    serving.start()
    try:
        yield server
    finally:
        server.shutdown()
        serving.join()
        server.server_close()
