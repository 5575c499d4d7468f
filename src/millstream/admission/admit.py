"""What stands in front of every route: who asks, whether they may, how fast; all of it before the body is read.

A client that sent `Expect: 100-continue` therefore gets its 401, 403 or 429 without having been asked for the body.
"""

from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from typing import Any, Final

import msgspec
import structlog
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from domain import access
from domain.access import EVERYBODY, Principal
from domain.amounts import counted
from domain.api_keys import KeyLimits, PresentedKey, parse_key
from events.errors import LogUnavailable
from ingest.problems import ProblemCode, Rejected
from millstream.admission.bounds import Bounds
from millstream.admission.failures import FailureBudget
from millstream.admission.intake import Intake
from millstream.admission.key_ring import KeyRing
from millstream.admission.pacing import Paced, Pacer, a_minute_of
from millstream.admission.route_access import ROUTES, Access
from millstream.admission.visiting import Visiting

SILENCE_S_MAX: Final = 3.0
"""Without word from the store of keys for so long nothing is written any more: a key may have been revoked."""

_log = structlog.get_logger()


class Asker(msgspec.Struct, frozen=True):
    """Who asks, as far as admission is concerned. `paced_as` names the counters of their calls."""

    principal: Principal
    presented: PresentedKey | None
    limits: KeyLimits
    paced_as: str

    @property
    def key_id(self) -> str | None:
        return None if self.presented is None else self.presented.id


class Admission:
    """Shared by all routes. `a_minute` by pace, for keys; `open_a_minute` for each address where there are none."""

    def __init__(
        self,
        ring: KeyRing,
        bounds: Bounds,
        failures: FailureBudget,
        pacer: Pacer,
        intake: Intake,
        *,
        a_minute: Mapping[Any, int],
        open_a_minute: int,
    ) -> None:
        self.ring = ring
        self.bounds = bounds
        self.intake = intake
        self._failures = failures
        self._pacer = pacer
        self._a_minute = a_minute
        self._open = KeyLimits(
            reads_per_minute=open_a_minute, searches_per_minute=open_a_minute, writes_per_minute=open_a_minute
        )

    def ask(self, scope: Scope) -> Asker:
        """Raises Rejected: unauthenticated, or rate_limited where an address shows wrong keys again and again."""
        address = (scope.get("client") or ("unknown",))[0]
        if self.ring.is_open:
            return Asker(EVERYBODY, None, self._open, f"address-{address}")
        shown = [value for name, value in scope["headers"] if name == b"authorization"]
        presented = _presented(shown)
        record = None if presented is None else self.ring.find(presented)
        if record is None or presented is None:
            raise self._unauthenticated(address, is_counted=bool(shown))
        return Asker(record.principal(), presented, record.limits, record.id)

    async def check(self, scope: Scope, asker: Asker, needed: Access) -> Paced | None:
        """Raises Rejected where this call is not allowed, or not now. What was counted of it goes into the answer."""
        principal = asker.principal
        assert needed.scope is not None  # noqa: S101  public routes ask nobody
        if not principal.may(needed.scope):
            _tell_refused(scope, principal, needed)
            detail = f"The key has not the scope {needed.scope}."
            raise Rejected(ProblemCode.INSUFFICIENT_SCOPE, detail)
        if needed.is_whole and principal.knowledge_bases is not None:
            detail = "The key is bound to knowledge bases: it may neither create others nor see the whole."
            raise Rejected(ProblemCode.INSUFFICIENT_SCOPE, detail)
        self._check_known(needed)
        return await self._pace(asker, needed)

    def _check_known(self, needed: Access) -> None:
        """Whether it is still known who holds which key. Raises Rejected."""
        silence_s = self.ring.silence_s
        limit_s = self.ring.stale_s_max if needed.is_reading else min(SILENCE_S_MAX, self.ring.stale_s_max)
        if silence_s > limit_s:
            detail = "Redis does not answer, so nobody can tell which keys were revoked; try again."
            raise Rejected(ProblemCode.DEPENDENCY_UNAVAILABLE, detail)

    async def _pace(self, asker: Asker, needed: Access) -> Paced | None:
        a_minute = a_minute_of(needed.pace, asker.limits, self._a_minute)
        if a_minute == 0:
            return None
        try:
            paced = await self._pacer.take(asker.paced_as, needed.pace, a_minute)
        except LogUnavailable as error:
            if needed.is_reading:
                return None  # better uncounted than unread
            detail = "Redis does not answer; nothing was accepted. Try again."
            raise Rejected(ProblemCode.DEPENDENCY_UNAVAILABLE, detail) from error
        if not paced.is_admitted:
            detail = f"No more than {counted(paced.quota, 'call')} of this kind may come a minute."
            raise Rejected(ProblemCode.RATE_LIMITED, detail, retry_after_s=paced.reset_s, headers=paced.headers())
        return paced

    def _unauthenticated(self, address: str, *, is_counted: bool) -> Rejected:
        """One answer for every reason: which it was is nobody's business."""
        wait_s = self._failures.failed(address) if is_counted else None
        if wait_s is not None:
            detail = "Too many wrong keys came from this address."
            return Rejected(ProblemCode.RATE_LIMITED, detail, retry_after_s=wait_s)
        return Rejected(ProblemCode.UNAUTHENTICATED, "Send a valid key: Authorization: Bearer ms_…")


class _AdmittedRoute:
    """An ASGI application in front of one route's."""

    def __init__(self, app: ASGIApp, needed: Access, admission: Admission) -> None:
        self._app = app
        self._needed = needed
        self._admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        admission, needed = self._admission, self._needed
        asker = admission.ask(scope)
        bound = structlog.contextvars.bind_contextvars(actor=asker.principal.actor)
        try:
            paced = await admission.check(scope, asker, needed)
            access.admitted(scope, asker.principal)
            await admission.bounds.narrow(scope, asker.principal)
            place = admission.intake.place(asker.key_id) if needed.is_intake else nullcontext()
            with place, admission.ring.visit(asker.presented) as visit:
                visiting = Visiting(scope, receive, send, visit, headers={} if paced is None else paced.headers())
                await self._app(scope, visiting.receive, visiting.send)
        finally:
            structlog.contextvars.reset_contextvars(**bound)


def admitted_routes(routes: Iterable[Route], admission: Admission) -> list[Route]:
    """The routes, each behind what `route_access` asks for it. Raises KeyError for one without an entry."""
    found = []
    for route in routes:
        needed = ROUTES[route.name]
        if needed.scope is not None:
            route.app = _AdmittedRoute(route.app, needed, admission)
        found.append(route)
    return found


def _presented(shown: list[bytes]) -> PresentedKey | None:
    if len(shown) != 1:
        return None
    scheme, _, key = shown[0].decode("latin-1").partition(" ")
    return parse_key(key) if scheme.lower() == "bearer" else None


def _tell_refused(scope: Scope, principal: Principal, needed: Access) -> None:
    if needed.scope is access.Scope.ADMIN:
        _log.warning("admin_call_refused", actor=principal.actor, path=scope["path"], method=scope["method"])
