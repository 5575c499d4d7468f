"""Admission of the calls that HTTP has no route for: the same keys, scopes and rates, asked in the same order."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import structlog

from domain.access import Principal, Scope
from millstream.admission.admit import Admission
from millstream.admission.key_ring import Visit
from millstream.admission.route_access import Access, Pace
from millstream.grpc.callers import client_of, headers_of
from millstream.grpc.refusals import Context

POLL: Final = Access(scope=Scope.WRITE, pace=Pace.WRITE, is_whole=True)
"""A worker reads documents of all knowledge bases and writes what is found in them: not for a key that is bound."""

LEASE: Final = Access(scope=Scope.WRITE, is_whole=True)
"""What is done under a lease is counted as a read: that there is one bounds it."""


@asynccontextmanager
async def admitted(admission: Admission, needed: Access, context: Context) -> AsyncIterator[tuple[Principal, Visit]]:
    """Who calls, for as long as the body takes; the visit ends early where the key does. Raises Rejected."""
    asked = _asked(context)
    asker = admission.ask(asked)
    with structlog.contextvars.bound_contextvars(actor=asker.principal.actor):
        await admission.check(asked, asker, needed)
        with admission.ring.visit(asker.presented) as visit:
            yield asker.principal, visit


def _asked(context: Context) -> dict[str, Any]:
    """As much of an ASGI scope as admission looks at."""
    headers = [(name.encode(), value.encode("latin-1")) for name, value in headers_of(context).items()]
    return {"client": client_of(context), "headers": headers, "path": "gRPC", "method": "POST"}
