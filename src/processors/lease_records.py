"""What every process knows of a lease: enough for any of them to renew it, to read for it, and to end its attempt."""

from typing import Protocol

import msgspec

from events.inbox import Delivery
from processors.verdicts import Verdict


class LeaseRecord(msgspec.Struct, frozen=True, kw_only=True):
    """`holder` may answer. The attempt is number `attempt` at the delivery's step, begun by the consumer `worker`.

    `asked` tells one piece of an attempt from the next: an answer is recorded for what it was asked for alone.
    """

    holder: str
    delivery: Delivery
    worker: str
    attempt: int
    asked: bytes


class Found(msgspec.Struct, frozen=True):
    """`verdict` is there once the lease has been answered and that has been recorded or refused. `is_followed`: whoever
    gave the lease knows that it was answered elsewhere, and goes on with the attempt."""

    record: LeaseRecord
    verdict: Verdict | None
    is_followed: bool = False


class LeaseRecords(Protocol):
    """Records end by themselves. Tokens begin as `partition_of` says; an unknown one has no record.

    Raises LogUnavailable and LogFull from every call.
    """

    async def keep(self, token: str, record: LeaseRecord, *, for_ms: int) -> bool:
        """The lease lasts so long from now; also where its record was lost, or is new. False where it has a verdict."""
        ...

    async def renew(self, token: str, *, for_ms: int) -> bool:
        """The same for whoever has no record: False where there is none, or a verdict."""
        ...

    async def find(self, token: str) -> Found | None:
        """What is known of it."""
        ...

    async def left_ms(self, token: str) -> int:
        """How long it lasts yet; 0 where there is none."""
        ...

    async def take(self, token: str, record: LeaseRecord, *, by: str, for_ms: int, right_ms: int) -> bool:
        """The right to end it, which one process has at a time, for `right_ms`: False while another has it, and once
        there is a verdict. Where the record was lost it is kept anew."""
        ...

    async def settle(self, token: str, record: LeaseRecord, verdict: Verdict, *, by: str, kept_ms: int) -> None:
        """What became of it, for whoever asks again; of a lease that another process ends: nothing."""
        ...

    async def follow(self, token: str) -> bool:
        """Whoever gave it goes on with the attempt. False where there is no verdict."""
        ...


def token_for(partition: int, random: str) -> str:
    """A lease's token: where its record lies, and what is not guessed."""
    return f"{partition:02x}{random}"


def partition_of_token(token: str) -> int | None:
    """None for what was never a token."""
    try:
        return int(token[:2], 16) if token[:2].isalnum() and len(token) > 2 else None
    except ValueError:
        return None
