"""Pure: whether the bytes of a request's head are a head, and how long the body behind it is.

httptools lets through what two programs in a row may read differently (a transfer coding that it does not know, two
Host fields, HTTP/9.9) and bounds nothing. So each head is judged here before the parser sees it; RFC 9112 is taken by
its strict side: CRLF alone ends a line, and one field says how long the body is. A head of a browser takes 4.5 µs
(`bench/connection.py`).
"""

import re
from typing import Final

import msgspec

from ingest.problems import ProblemCode, Rejected
from millstream.connection.limits import ConnectionLimits

HEAD_END: Final = b"\r\n\r\n"

METHODS: Final = (b"DELETE", b"GET", b"HEAD", b"OPTIONS", b"PATCH", b"POST", b"PUT")
"""What some route here could serve; which ones a path does serve is the router's to say."""

_PASSED_ON: Final = frozenset({*METHODS, b"TRACE"})

_TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]"
_REQUEST_LINE: Final = re.compile(b"(" + _TOKEN + rb"++) ([!-~]++) HTTP/([0-9])\.([0-9])\r\n")
_FIELDS: Final = re.compile(b"(?:" + _TOKEN + rb"++:[\t -~\x80-\xff]*+\r\n)*+\r\n")
FIELD_LINE: Final = re.compile(_TOKEN + rb"++:[\t -~\x80-\xff]*+\r\n")
_TOLD: Final = re.compile(
    rb"\r\n(content-length|transfer-encoding|host|expect|upgrade|content-type):[ \t]*+([^\r]*+)", re.IGNORECASE
)
_UPGRADE: Final = re.compile(rb"\r\nupgrade:[^\r]*+(?=\r\n)", re.IGNORECASE)
_BARE_LF: Final = re.compile(rb"(?<!\r)\n")
_LENGTH: Final = re.compile(rb"[0-9]{1,18}")
"""More digits than any length has; Python takes time squared to read a number of a million."""

_HOST: Final = re.compile(rb"(?:[0-9A-Za-z._~-]++|\[[0-9A-Fa-f:.]++\])(?::[0-9]{1,5})?")
_NO_SEGMENT: Final = re.compile(rb"%(?:2f|5c|7f|[01][0-9a-f])", re.IGNORECASE)
"""Within one segment of a path no name of ours has a slash, a backslash or a control character."""

_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})?")
_LINE_REST: Final = len(b" HTTP/1.1\r\n") + 32
"""What a request line may have besides its target: the longest method that anybody registered has 17 letters."""


class Framing(msgspec.Struct, frozen=True):
    """A head that may be passed on. `content_length` is None for a chunked body and 0 for none."""

    head: bytes
    content_length: int | None
    expects_continue: bool
    is_json: bool


def scan_head(head: bytes, limits: ConnectionLimits) -> Framing:
    """Judges a whole head, from its request line to the empty line. Raises Rejected."""
    _check_size(head, limits)
    line = _request_line(head)
    if not _FIELDS.fullmatch(head, line.end()):
        raise _bad("A header field is malformed: each is `name: value`, on one line, ended by CRLF.")
    fields = _fields_that_count(head, line.end())
    length = _length_of(fields)
    _check_host(fields)
    expects_continue = _expects_continue(fields)
    if len(line[2]) > limits.uri_bytes_max:
        raise _uri_too_long(limits)
    _check_target(line[2])
    if line[1] not in _PASSED_ON:
        raise Rejected(ProblemCode.METHOD_NOT_ALLOWED, "No path here knows this method.")
    if b"upgrade" in fields:
        # Nothing here speaks another protocol, which a server may say by ignoring the wish (RFC 9110, 7.8); the parser
        # would take the body for bytes of the other protocol.
        head = _UPGRADE.sub(b"", head)
    is_json = fields.get(b"content-type", b"")[:16].lower() == b"application/json"
    return Framing(head, length, expects_continue, is_json)


def check_begun(begun: bytearray, known_bytes: int, limits: ConnectionLimits) -> None:
    """Judges what has come of a head that is not whole; the first `known_bytes` of it were judged before.

    Nobody has to wait for a deadline who speaks another protocol (TLS, HTTP/2, a line of HTTP/0.9) or ends lines by LF.
    Raises Rejected.
    """
    line_end = begun.find(b"\r\n", 0, limits.uri_bytes_max + _LINE_REST)
    if line_end < 0 and len(begun) > limits.uri_bytes_max + _LINE_REST:
        raise _uri_too_long(limits) if _FIRST_WORD.match(begun) else _bad("This is no request of HTTP/1.1.")
    if not known_bytes and not _FIRST_WORD.match(begun):
        raise _bad("This is no request of HTTP/1.1.")
    if _BARE_LF.search(begun, max(0, known_bytes - 1)):
        raise _bad("Each line of a head ends with CRLF.")
    if line_end >= 0 and line_end + 2 > known_bytes:
        _request_line(bytes(begun[: line_end + 2]))
    if len(begun) > limits.header_bytes_max:
        raise _too_large(limits)


_FIRST_WORD: Final = re.compile(_TOKEN + rb"++(?: |\Z)|\r?\n?\Z")


def _check_size(head: bytes, limits: ConnectionLimits) -> None:
    if head.find(b"\r\n", 0, limits.uri_bytes_max + _LINE_REST) < 0:
        raise _uri_too_long(limits)
    if len(head) > limits.header_bytes_max or head.count(b"\r\n") - 2 > limits.headers_max:
        raise _too_large(limits)


def _request_line(head: bytes) -> re.Match[bytes]:
    line = _REQUEST_LINE.match(head)
    if line is None:
        raise _bad("The request line is not `METHOD /path HTTP/1.1`.")
    if line[3] != b"1" or line[4] != b"1":
        raise Rejected(
            ProblemCode.HTTP_VERSION_NOT_SUPPORTED,
            "HTTP/1.1 is spoken here; behind nginx that takes `proxy_http_version 1.1`.",
        )
    return line


def _fields_that_count(head: bytes, line_end: int) -> dict[bytes, bytes]:
    """The fields that this module judges, by name in lower case."""
    fields: dict[bytes, bytes] = {}
    for written, value in _TOLD.findall(head, line_end - 2):
        name = written.lower()
        if name in fields and name in _ONCE:
            raise Rejected(*_ONCE[name])
        fields[name] = value.rstrip(b" \t")
    return fields


def _length_of(fields: dict[bytes, bytes]) -> int | None:
    """Of the body, in bytes; None for a chunked one."""
    length, coding = fields.get(b"content-length"), fields.get(b"transfer-encoding")
    if coding is None:
        if length is None:
            return 0
        if not _LENGTH.fullmatch(length):
            raise _bad("Content-Length must be one number.")
        return int(length)
    if length is not None:
        raise _bad("A request has a Content-Length or a Transfer-Encoding, not both.")
    if coding.lower() != b"chunked":
        raise Rejected(ProblemCode.UNSUPPORTED_TRANSFER_ENCODING, "The only transfer coding taken is chunked, once.")
    return None


def _check_host(fields: dict[bytes, bytes]) -> None:
    if not _HOST.fullmatch(fields.get(b"host", b"")):
        raise Rejected(ProblemCode.BAD_HOST, "A request names one host, as `Host: name` or `Host: name:port`.")


def _expects_continue(fields: dict[bytes, bytes]) -> bool:
    expected = fields.get(b"expect")
    if expected is None:
        return False
    if expected.lower() != b"100-continue":
        raise Rejected(ProblemCode.EXPECTATION_FAILED, "The only expectation that is met here is 100-continue.")
    return True


def _check_target(target: bytes) -> None:
    """A target is a path of ours with a query; the URL of a proxy (`http://…`) or an authority names nothing here."""
    if b"#" in target:
        raise _bad("A request's target has no fragment.")
    path = target.partition(b"?")[0]
    if not path.startswith(b"/") or path.startswith(b"//"):
        raise _nothing_here()
    if b"%" not in path:
        return
    if _NO_SEGMENT.search(path) or not all(escape[1] for escape in _ESCAPE.finditer(path)):
        raise _nothing_here()
    try:
        _ESCAPE.sub(lambda escape: bytes.fromhex(escape[1].decode()), path).decode()
    except UnicodeDecodeError:
        raise _nothing_here() from None


def _bad(detail: str) -> Rejected:
    return Rejected(ProblemCode.BAD_REQUEST, detail)


def _nothing_here() -> Rejected:
    return Rejected(ProblemCode.NOT_FOUND, "There is nothing under this path.")


def _uri_too_long(limits: ConnectionLimits) -> Rejected:
    return Rejected(ProblemCode.URI_TOO_LONG, f"The target of a request may have {limits.uri_bytes_max:,} bytes.")


def _too_large(limits: ConnectionLimits) -> Rejected:
    return Rejected(
        ProblemCode.HEADERS_TOO_LARGE,
        f"The head of a request may have {limits.headers_max:,} fields and {limits.header_bytes_max:,} bytes.",
    )


_ONCE: Final[dict[bytes, tuple[ProblemCode, str]]] = {
    b"host": (ProblemCode.BAD_HOST, "A request names one host."),
    b"content-length": (ProblemCode.BAD_REQUEST, "Content-Length must be one number."),
    b"transfer-encoding": (ProblemCode.BAD_REQUEST, "Transfer-Encoding came twice."),
    b"expect": (ProblemCode.EXPECTATION_FAILED, "The only expectation that is met here is 100-continue."),
    b"content-type": (ProblemCode.BAD_REQUEST, "Content-Type came twice."),
}
"""Fields that mean something else to whoever takes the first than to whoever takes the last."""
