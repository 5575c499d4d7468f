"""What every request has to pass before any route sees it, as long as there are no keys: Host and Origin.

A web page elsewhere can make a browser send requests to a service on loopback; the browser then names the page's
origin, or (DNS rebinding) the page's host. Both are refused, so that only programs of this machine drive the service.
"""

import re
from collections.abc import Awaitable, Iterable
from typing import Final
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from ingest.problems import ProblemCode, problem, problem_response
from ingest.request_headers import headers_of
from ingest.request_id import request_id_of

LOOPBACK_HOSTS: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
_NOT_IN_A_HOST: Final = re.compile(r"[/\\@?#, ]")
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Guard:
    """ASGI middleware: 400 for a missing, doubled or foreign Host, 403 for an unsafe call from another origin."""

    def __init__(self, app: ASGIApp, allowed_hosts: Iterable[str] = ()) -> None:
        self._app = app
        self._allowed = LOOPBACK_HOSTS | {host.strip().lower() for host in allowed_hosts if host.strip()}

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        if refusal is None:
            return self._app(scope, receive, send)
        code, detail = refusal
        return problem_response(problem(code, detail), request_id_of(scope))(scope, receive, send)

    def _refusal(self, scope: Scope) -> tuple[ProblemCode, str] | None:
        headers = headers_of(scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or _name_of(hosts[0]) not in self._allowed:
            return ProblemCode.BAD_HOST, "The Host header names no host of this service (MILLSTREAM_ALLOWED_HOSTS)."
        origins = headers.getlist("origin")
        if origins and scope["method"] not in _SAFE_METHODS and not self._is_own(origins, hosts[0]):
            return ProblemCode.FORBIDDEN, "Calls from pages of another origin are not taken."
        return None

    def _is_own(self, origins: list[str], host: str) -> bool:
        return len(origins) == 1 and _netloc_of(origins[0]) == host.lower()


def _netloc_of(origin: str) -> str:
    """Empty, which is nobody's host, for `null` and for anything that is not a URL."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _name_of(host: str) -> str:
    """The host without its port, lower-case; empty for anything that is not a host."""
    if _NOT_IN_A_HOST.search(host):
        return ""
    name, _, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
    if not name:
        name, port = host, ""
    return name.lower() if not port or (port.isascii() and port.isdigit()) else ""
