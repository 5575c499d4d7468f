"""One server over HTTP: requests, pages of listings, and every error as a line that says what to do."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

import httpx
import httpx_sse
import msgspec

from millstream.client_key import api_key_from_environment, checked_key
from millstream.errors import ExitCode, Stop

T = TypeVar("T")

TIMEOUT_S = httpx.Timeout(60.0, connect=5.0)
STREAM_SILENCE_S_MAX = 45.0
"""The server sends a comment every 15 s; three missed ones mean that the connection is dead."""

BROKEN = (httpx.TransportError, httpx_sse.SSEError)
"""What reading a stream raises where it breaks off."""

BUSY = frozenset({429, 502, 503, 504})
"""Statuses after which the same request may be taken later."""


class Flaw(msgspec.Struct, frozen=True):
    """A part of a request that breaks a rule."""

    pointer: str
    message: str


class Problem(msgspec.Struct, frozen=True):
    """As much of a problem document as a client looks at."""

    title: str = ""
    detail: str = ""
    code: str = ""
    request_id: str = ""
    errors: tuple[Flaw, ...] = ()


class Refused(Stop):
    """The server said no."""

    def __init__(self, status: int, problem: Problem, retry_after_s: float | None) -> None:
        super().__init__(
            problem.detail or problem.title,
            hint=f"{problem.code}, request {problem.request_id}" if problem.code else "",
            exit_code=ExitCode.UNREACHABLE if status == 503 else ExitCode.FAILED_WORK,
        )
        self.args = (status, problem, retry_after_s)
        self.status = status
        self.problem = problem
        self.retry_after_s = retry_after_s

    @property
    def may_pass(self) -> bool:
        """Whether the same request may be taken later."""
        return self.status in BUSY


class Unreachable(Stop):
    """No answer came; whether the request took effect is not known."""


class Page(msgspec.Struct, frozen=True):
    """One page of a listing, rows still undecoded."""

    data: list[msgspec.Raw]
    total: int | None
    next_cursor: str | None = None


class Http:
    """Used by several threads at a time. Every call raises Unreachable and Refused."""

    def __init__(self, url: str, *, api_key: str | None = None) -> None:
        """Without a key that of MILLSTREAM_API_KEY is shown, where there is one. Raises Stop for what is no key."""
        self.url = url.rstrip("/")
        key = api_key or api_key_from_environment()
        headers = {} if key is None else {"Authorization": f"Bearer {checked_key(key)}"}
        self._http = httpx.Client(
            base_url=f"{self.url}/api/v1", timeout=TIMEOUT_S, trust_env=False, headers=headers, verify=tls()
        )

    def close(self) -> None:
        self._http.close()

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        """As `httpx.Client.request`; `path` is below /api/v1, or a whole URL."""
        try:
            response = self._http.request(method, path, **options)
        except httpx.TransportError as error:
            raise self.unreachable(error) from None
        self.raise_for_problem(response)
        return response

    def post(self, path: str, answer: type[T], *, idempotency_key: str | None = None, **options: Any) -> T:
        """The decoded answer of a POST; `content` is JSON."""
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        if "content" in options:
            headers["Content-Type"] = "application/json"
        return msgspec.json.decode(self.send("POST", path, headers=headers, **options).content, type=answer)

    def get(self, path: str, answer: type[T], **options: Any) -> T:
        """The decoded answer of a GET."""
        return msgspec.json.decode(self.send("GET", path, **options).content, type=answer)

    def listed(self, path: str, row_type: type[T], params: dict[str, str]) -> tuple[T, ...]:
        """Every row of a listing, page after page."""
        rows: list[T] = []
        cursor: str | None = None
        while True:
            query = {**params, "limit": "200", **({"cursor": cursor} if cursor else {})}
            page = self.get(path, Page, params=query)
            rows.extend(msgspec.json.decode(row, type=row_type) for row in page.data)
            cursor = page.next_cursor
            if cursor is None:
                return tuple(rows)

    def pieces(self, path: str) -> Iterator[bytes]:
        """The bytes of an answer as they come; raises Unreachable where they end too early."""
        try:
            with self._http.stream("GET", path) as response:
                self.raise_for_problem(response)
                yield from response.iter_raw()
        except httpx.TransportError as error:
            raise self.unreachable(error) from None

    @contextmanager
    def stream(
        self, path: str, headers: dict[str, str], *, method: str = "GET", **options: Any
    ) -> Iterator[httpx_sse.EventSource]:
        """An event stream; raises httpx.TransportError where it breaks off."""
        timeout = httpx.Timeout(STREAM_SILENCE_S_MAX, connect=5.0)
        with httpx_sse.connect_sse(self._http, method, path, headers=headers, timeout=timeout, **options) as source:
            self.raise_for_problem(source.response)
            yield source

    def raise_for_problem(self, response: httpx.Response) -> None:
        """Raises Refused for an answer that is an error."""
        if response.status_code < 400:
            return
        response.read()
        raise refusal_of(response)

    def unreachable(self, error: Exception) -> Unreachable:
        return no_answer_of(self.url, error)


def refusal_of(response: httpx.Response) -> Refused:
    """The error that an answer stands for, once it is read."""
    try:
        problem = msgspec.json.decode(response.content, type=Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        problem = Problem(title=f"HTTP {response.status_code}")
    retry_after = response.headers.get("retry-after", "")
    return Refused(response.status_code, problem, float(retry_after) if retry_after.isdigit() else None)


def no_answer_of(url: str, error: Exception) -> Unreachable:
    """The error where the server at `url` does not answer."""
    return Unreachable(
        f"no server answers at {url} ({type(error).__name__})",
        hint="start one with `millstream up`, or name another with --url or MILLSTREAM_URL",
        exit_code=ExitCode.UNREACHABLE,
    )


@cache
def tls() -> ssl.SSLContext:
    """One for all clients of a process: reading the certificates takes 20 ms."""
    return httpx.create_ssl_context(trust_env=False)
