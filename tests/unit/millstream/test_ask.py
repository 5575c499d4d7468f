"""The client and the command that ask questions, against a server that says what a test wants."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import pytest
from click.testing import CliRunner

from millstream.client import Client
from millstream.client_questions import AnswerDone, Citations, Words
from millstream.commands.ask import ask
from millstream.commands.client import search
from millstream.errors import Stop

KB: Final = "kb_" + "0" * 34
CITED: Final = {
    "number": 1,
    "chunk_id": "c1",
    "document_id": "d1",
    "knowledge_base_id": KB,
    "filename": "manual\x1b[2J.pdf",
    "page": 3,
    "span": [0, 9],
}
USAGE: Final = {"prompt_tokens": 9, "completion_tokens": 2}
WHOLE: Final = {
    "answer": "In spring [1].", "found": True, "citations": [CITED], "passages": [], "usage": USAGE, "model": "m",
    "is_cut": False, "warnings": [], "took_ms": 12.0,
}  # fmt: skip
END: Final = {"found": True, "usage": USAGE, "model": "m", "is_cut": True, "took_ms": 12.0,
              "warnings": [{"code": "no_reranker", "message": "No reranker."}]}  # fmt: skip
PASSAGE: Final = {
    "chunk_id": "c1", "document_id": "d1", "knowledge_base_id": KB, "filename": "manual.pdf", "text": "two",
    "score": 0.5, "page": 1, "highlights": [], "headings": [], "metadata": {},
    "context": {"text": "one\ntwo\nthree", "chunk_ids": ["c0", "c1"]},
}  # fmt: skip


class Server(ThreadingHTTPServer):
    daemon_threads = True
    events: list[tuple[str, Any]]
    bodies: list[dict[str, Any]]
    paths: list[str]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.bodies.append(body)
        self.server.paths.append(self.path)
        if self.path.endswith("/search"):
            self.reply(200, "application/json", json.dumps({"passages": [PASSAGE], "took_ms": 1.0}).encode())
        elif body.get("stream"):
            events = [f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in self.server.events]
            self.reply(200, "text/event-stream", "".join(events).encode())
        else:
            self.reply(200, "application/json", json.dumps(WHOLE).encode())

    def reply(self, status: int, media_type: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        """Tests print nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server(("127.0.0.1", 0), Handler)
    server.bodies, server.paths = [], []
    server.events = [
        ("passages", {"passages": []}), ("text", {"text": "In "}), ("text", {"text": "\x1b[31mspring [1]."}),
        ("citations", {"citations": [CITED]}), ("end", END),
    ]  # fmt: skip
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def url(server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.delenv("MILLSTREAM_API_KEY", raising=False)
    monkeypatch.setattr(Client, "knowledge_base", lambda _self, _name: type("Found", (), {"knowledge_base_id": KB}))
    return f"http://127.0.0.1:{server.server_port}"


def test_the_client_hands_on_an_answer_whole_or_as_it_is_written(url: str, server: Server) -> None:
    with Client(url) as client:
        whole = client.ask(KB, "When?", top_k=3)
        news = list(client.ask_streamed(KB, "When?"))
    assert (whole.answer, whole.citations[0].page, whole.usage.prompt_tokens) == ("In spring [1].", 3, 9)
    assert server.bodies == [{"question": "When?", "top_k": 3}, {"question": "When?", "stream": True}]
    assert [type(one) for one in news] == [Words, Words, Citations, AnswerDone]


def test_several_knowledge_bases_are_asked_in_one_call(url: str, server: Server) -> None:
    for command, members in ((ask, {"question": "When?"}), (search, {"query": "When?"})):
        ended = CliRunner().invoke(command, ["mill", "trade", "When?", "--json", "--url", url])
        assert ended.exit_code == 0, ended.output
        assert server.bodies[-1].items() >= {"knowledge_base_ids": [KB, KB], **members}.items()
    with Client(url) as client:
        list(client.ask_streamed([KB, KB], "When?"))
        client.ask([KB], "When?")
    assert server.paths == [
        "/api/v1/answers",
        "/api/v1/search",
        "/api/v1/answers",
        f"/api/v1/knowledge-bases/{KB}/answers",
    ]


def test_a_stream_that_fails_or_ends_early_is_no_answer(url: str, server: Server) -> None:
    whole = list(server.events)
    for events, said in (
        ([*whole[:2], ("error", {"code": "language_model_unavailable", "detail": "Try again."})], "Try again."),
        (whole[:3], "broke off"),
    ):
        server.events = events
        with Client(url) as client, pytest.raises(Stop, match=said):
            list(client.ask_streamed(KB, "When?"))


def test_the_command_prints_words_then_what_they_rest_on_and_no_escapes(url: str, server: Server) -> None:
    ended = CliRunner().invoke(ask, ["mill", "When?", "--url", url, "--language", "en"])
    assert ended.exit_code == 0, ended.output
    assert ended.output == (
        "In [31mspring [1].\n\n[1] manual[2J.pdf, page 3  c1\n! No reranker.\n"
        "! The answer ran into a limit and is cut.\n(12 ms)\n"
    )
    assert server.bodies == [{"question": "When?", "stream": True, "profile": "enhanced", "top_k": 8, "language": "en"}]


def test_the_command_prints_json(url: str) -> None:
    ended = CliRunner().invoke(ask, ["mill", "When?", "--json", "--url", url])
    assert json.loads(ended.output)["answer"] == "In spring [1]."


def test_a_search_asks_for_neighbours_and_shows_them(url: str, server: Server) -> None:
    ended = CliRunner().invoke(search, ["mill", "stone", "--neighbours", "1", "--min-score", "0.2", "--url", url])
    assert ended.exit_code == 0, ended.output
    assert [line.strip() for line in ended.output.splitlines()][1:4] == ["one", "two", "three"]
    assert server.bodies == [
        {"query": "stone", "mode": "hybrid", "top_k": 5, "profile": "fast", "neighbours": 1, "min_score": 0.2}
    ]
