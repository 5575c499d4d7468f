"""Pure: which calls of a script go together as one.

A script that does several things of one kind in a call is told once what they share. Started for each of 25 appends by
itself it takes the server half as long again, and its client for packing and answers.
"""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Final, Protocol, TypeVar

import msgspec

from events.redis_wire import Argument

GROUP_CALLS_MAX: Final = 64
"""Calls in one: 0.5 ms of the server's only thread, at 6 to 9 µs each."""

GROUP_BYTES_MAX: Final = 65_536
"""Of their own arguments, some 300 events at 2 to 3 µs each; a single larger call goes alone."""


class Shared(msgspec.Struct, frozen=True, eq=False):
    """What calls have in common that may go together: keys and arguments in front of their own. Only calls that were
    given the very same one do."""

    keys: tuple[str, ...]
    arguments: tuple[Argument, ...]


class Groupable(Protocol):
    """A call as far as it matters here. Without `shared` it goes alone."""

    @property
    def shared(self) -> Shared | None: ...

    @property
    def size_bytes(self) -> int: ...


class Queued(Protocol):
    """A call that waits: a key of it, and which one of all it was (from 0)."""

    @property
    def near(self) -> str: ...

    @property
    def number(self) -> int: ...


C = TypeVar("C", bound=Groupable)
Q = TypeVar("Q", bound=Queued)


def side_by_side(waiting: Iterable[Q]) -> list[Q]:
    """All calls once, those near the same key next to each other, first those near the key that waits longest: in the
    order of keys a stream of large appends to one partition would hold up another one's for ever. Calls near the same
    key are in the order in which they came, and stay so."""
    by_key: dict[str, list[Q]] = {}
    for call in waiting:
        by_key.setdefault(call.near, []).append(call)
    longest_first: list[list[Q]] = sorted(by_key.values(), key=lambda calls: calls[0].number)
    return list(chain.from_iterable(longest_first))


def grouped(calls: Iterable[C]) -> list[Sequence[C]]:
    """All calls once, in order within what they share."""
    groups: list[Sequence[C]] = []
    filling: dict[Shared, tuple[list[C], int]] = {}
    for call in calls:
        if (shared := call.shared) is None:
            groups.append((call,))
            continue
        group, size_bytes = filling.get(shared, ((), 0))
        size_bytes += call.size_bytes
        if not group or len(group) == GROUP_CALLS_MAX or size_bytes > GROUP_BYTES_MAX:
            group, size_bytes = [], call.size_bytes
            groups.append(group)
        group.append(call)
        filling[shared] = group, size_bytes
    return groups
