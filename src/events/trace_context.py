"""Which trace what is done just now belongs to: W3C trace context, carried from a request to the events that follow.

The value goes through untouched: whether spans are made of it is nobody's business but of who exports them, so a trace
stays whole where a process on its way exports none.
"""

import re
from contextvars import ContextVar
from typing import Final

_FORM: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-[!-~]{0,64})?")
"""https://www.w3.org/TR/trace-context/#traceparent-header, version 00 and what later ones may put behind it."""

LENGTH: Final = 55
"""Of version 00, which is what is passed on."""

_current: ContextVar[str | None] = ContextVar("trace_parent", default=None)


def trace_parent() -> str | None:
    """For the envelopes of what is decided now."""
    return _current.get()


def parse_trace_parent(offered: str) -> str | None:
    """The parent that a header names; None for one that is none, which is as good as no header."""
    return offered[:LENGTH] if _FORM.fullmatch(offered) else None


class traced_by:  # noqa: N801  used as a function; a generator costs twice as much, twice a step
    """What is done meanwhile belongs to that trace; None: to none."""

    __slots__ = ("_parent", "_token")

    def __init__(self, parent: str | None) -> None:
        self._parent = parent

    def __enter__(self) -> None:
        self._token = _current.set(self._parent)

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)
