"""An OpenAI-compatible embedding endpoint on loopback, whose account can be closed and opened again, and which can be
made to think for long."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from knowledge.hash_embedder import HashEmbedder

DIMENSIONS: Final = 256

THINKS_S_MAX: Final = 60
"""After a test that failed, so that nothing hangs."""


class EmbeddingEndpoint(ThreadingHTTPServer):
    """Answers with vectors of `DIMENSIONS`, or with 401 while `is_closed`; not before `may_answer` is set, which it is
    at first. `asked` is set by every call."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.is_closed = False
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.asked = threading.Event()
        self.calls = 0

    @property
    def variables(self) -> dict[str, str]:
        """The settings of a service that embeds here."""
        return {
            "MILLSTREAM_EMBEDDING": "openai",
            "MILLSTREAM_OPENAI_BASE_URL": f"http://127.0.0.1:{self.server_port}/v1",
            "MILLSTREAM_OPENAI_API_KEY": "sk-of-a-test",
            "MILLSTREAM_OPENAI_EMBEDDING_MODEL": "test/model",
            "MILLSTREAM_OPENAI_EMBEDDING_DIMENSIONS": str(DIMENSIONS),
        }


class _Handler(BaseHTTPRequestHandler):
    server: EmbeddingEndpoint

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.calls += 1
        self.server.asked.set()
        self.server.may_answer.wait(THINKS_S_MAX)
        if self.server.is_closed:
            self._answer(401, {"error": {"message": "no such account"}})
            return
        hashing = HashEmbedder(dimensions=DIMENSIONS)
        data = [
            {"object": "embedding", "index": index, "embedding": hashing.counts(text).tolist()}
            for index, text in enumerate(body["input"])
        ]
        usage = {"prompt_tokens": len(data), "total_tokens": len(data)}
        self._answer(200, {"object": "list", "data": data, "model": body["model"], "usage": usage})

    def _answer(self, status: int, body: object) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        """Tests print nothing."""


@contextmanager
def running_endpoint() -> Iterator[EmbeddingEndpoint]:
    server = EmbeddingEndpoint()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
