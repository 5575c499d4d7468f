"""Answers that are given again: what a request with an Idempotency-Key was answered, for a day."""

from collections.abc import Callable
from typing import Protocol

import msgspec


class Reply(msgspec.Struct, frozen=True):
    """An answer as it went out."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


class Begun(msgspec.Struct, frozen=True):
    """Nobody has asked this before: it is the caller's to answer, and to end."""


class Underway(msgspec.Struct, frozen=True):
    """Somebody is at it, or died within the lease."""


class OtherRequest(msgspec.Struct, frozen=True):
    """The name was used for a request with another fingerprint."""


class Replies(Protocol):
    """`name` is a digest of who asks, what, and under which key. Raises LogUnavailable and LogFull from every call."""

    async def begin(
        self, name: str, fingerprint: str, *, token: str, lease_ms: int
    ) -> Begun | Underway | OtherRequest | Reply:
        """What is known of a request; where nothing is, it is under way from now on, for `lease_ms` at most."""
        ...

    async def finish(self, name: str, *, token: str, reply: Reply, kept_ms: int) -> bool:
        """The answer is kept; False and nothing where the lease has run out and somebody else is at it."""
        ...

    async def forget(self, name: str, *, token: str) -> None:
        """The request may be made anew; nothing where somebody else is at it."""
        ...


class _Kept:
    __slots__ = ("fingerprint", "reply", "token", "until_ms")

    def __init__(self, fingerprint: str, token: str, until_ms: int) -> None:
        self.fingerprint = fingerprint
        self.token = token
        self.until_ms = until_ms
        self.reply: Reply | None = None


class MemoryReplies:
    """Replies of one process: the reference semantics. `clock_ms` is unix ms."""

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        self._clock_ms = clock_ms
        self._kept: dict[str, _Kept] = {}

    async def begin(
        self, name: str, fingerprint: str, *, token: str, lease_ms: int
    ) -> Begun | Underway | OtherRequest | Reply:
        known, now_ms = self._kept.get(name), self._clock_ms()
        if known is None or known.until_ms <= now_ms:
            self._kept[name] = _Kept(fingerprint, token, now_ms + lease_ms)
            return Begun()
        if known.fingerprint != fingerprint:
            return OtherRequest()
        return Underway() if known.reply is None else known.reply

    async def finish(self, name: str, *, token: str, reply: Reply, kept_ms: int) -> bool:
        known = self._own(name, token)
        if known is None:
            return False
        known.reply, known.token, known.until_ms = reply, "", self._clock_ms() + kept_ms
        return True

    async def forget(self, name: str, *, token: str) -> None:
        if self._own(name, token) is not None:
            del self._kept[name]

    def _own(self, name: str, token: str) -> _Kept | None:
        known = self._kept.get(name)
        return known if known is not None and known.token == token and known.until_ms > self._clock_ms() else None
