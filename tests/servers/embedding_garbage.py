"""Answers of an embedding provider that refuses or is out of its mind."""

from collections.abc import Callable

import msgspec

from tests.servers.embedding_provider import DIMENSIONS, Reply, embeddings


def refused(status: int, **headers: str) -> Callable[[object], Reply]:
    return lambda _: (status, {name.replace("_", "-"): value for name, value in headers.items()}, b"{}")


def _number(text: str) -> Callable[[dict[str, object]], Reply]:
    """The first number of the first vector is another."""

    def reply(body: dict[str, object]) -> Reply:
        status, headers, content = embeddings(body)
        answer = msgspec.json.decode(content)
        whole = msgspec.json.encode(answer["data"])
        first = answer["data"][-1]["embedding"]
        bad = f"[{text},{','.join(str(number) for number in first[1:])}]".encode()
        return status, headers, b'{"data":' + whole.replace(msgspec.json.encode(first), bad) + b"}"

    return reply


GARBAGE: dict[str, Callable[[dict[str, object]], Reply]] = {
    "HTML": lambda _: (200, {"Content-Type": "text/html"}, b"<html>Welcome</html>"),
    "cut JSON": lambda body: (200, {}, embeddings(body)[2][:-20]),
    "nothing": lambda _: (200, {}, b""),
    "fewer": lambda body: embeddings({**body, "input": list(body["input"])[1:]}),  # type: ignore[call-overload]
    "more": lambda body: embeddings({**body, "input": [*body["input"], "more"]}),  # type: ignore[misc]
    "same index": lambda body: (200, {}, embeddings(body)[2].replace(b'"index":1', b'"index":0')),
    "base64": lambda _: (200, {}, b'{"data":[{"index":0,"embedding":"AACAPw=="}]}'),
    "NaN": _number("NaN"),
    "null": _number("null"),
    "infinity": _number("1e999"),
    "zero": lambda body: (
        200,
        {},
        msgspec.json.encode({"data": [{"index": n, "embedding": [0] * DIMENSIONS} for n in range(len(body["input"]))]}),  # type: ignore[arg-type]
    ),
}
