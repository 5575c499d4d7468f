"""Query parameters, checked: unknown and repeated ones are refused, each value has its form."""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta

from domain.instant import EPOCH
from projections.as_of import Moment, parse_moment
from projections.errors import InvalidMoment, InvalidQuery
from projections.lists import LIMIT_DEFAULT, LIMIT_MAX
from projections.places import Place

WAIT_S_MAX = 60
"""The longest long poll: many proxies give up after a minute of silence."""

NAME_CHARACTERS_MAX = 200

_CODE: Final = re.compile(r"[a-z0-9_]{1,100}")
_Instant = Annotated[datetime, Meta(tz=True)]

E = TypeVar("E", bound=StrEnum)


class Parameters:
    """The parameters of one request. Every method raises InvalidQuery."""

    def __init__(self, items: Iterable[tuple[str, str]], *, known: frozenset[str], prefix: str | None = None) -> None:
        """With a prefix every name is known that begins with it and goes on."""
        self._values: dict[str, str] = {}
        for name, value in items:
            is_prefixed = prefix is not None and name.startswith(prefix) and name != prefix
            if name not in known and not is_prefixed:
                raise InvalidQuery(f"/{name}", f"unknown parameter; known here: {', '.join(sorted(known)) or 'none'}")
            if name in self._values:
                raise InvalidQuery(f"/{name}", "the parameter is given twice")
            self._values[name] = value

    def text(self, name: str) -> str | None:
        return self._values.get(name)

    def limit(self) -> int:
        return self._integer("limit", 1, LIMIT_MAX, LIMIT_DEFAULT)

    def wait_s(self) -> int:
        return self._integer("wait", 0, WAIT_S_MAX, 0)

    def choice(self, name: str, kind: type[E]) -> E | None:
        value = self._values.get(name)
        if value is None:
            return None
        try:
            return kind(value)
        except ValueError:
            raise InvalidQuery(f"/{name}", f"one of {', '.join(kind)} is expected") from None

    def code(self) -> str | None:
        """The code of a failure."""
        value = self._values.get("code")
        if value is not None and not _CODE.fullmatch(value):
            raise InvalidQuery("/code", "a code in lower case is expected, like parse_failed")
        return value

    def instant_us(self, name: str) -> int | None:
        """RFC 3339 with its offset from UTC, as unix µs."""
        value = self._values.get(name)
        if value is None:
            return None
        try:
            # A plus sign that nobody escaped arrives as a blank.
            return (msgspec.convert(value.replace(" ", "+"), _Instant) - EPOCH) // timedelta(microseconds=1)
        except msgspec.ValidationError:
            raise InvalidQuery(f"/{name}", "a time like 2026-11-23T08:00:00Z is expected") from None

    def moment(self, name: str) -> Moment | None:
        """A time or a position of the log."""
        value = self._values.get(name)
        try:
            return None if value is None else parse_moment(value)
        except InvalidMoment as error:
            raise InvalidQuery(f"/{name}", f"{error} is expected") from None

    def name(self, name: str = "name") -> str | None:
        """A name, or a part of one."""
        value = self._values.get(name)
        if value is not None and not 1 <= len(value) <= NAME_CHARACTERS_MAX:
            raise InvalidQuery(f"/{name}", f"1 to {NAME_CHARACTERS_MAX} characters are expected")
        return value

    def prefixed(self, prefix: str, *, count_max: int) -> tuple[tuple[str, str], ...]:
        """What stands behind the prefix, and the values, in the order of the names."""
        found = tuple(
            sorted(
                (name.removeprefix(prefix), value) for name, value in self._values.items() if name.startswith(prefix)
            )
        )
        if len(found) > count_max:
            raise InvalidQuery(f"/{prefix}*", f"at most {count_max} of them are expected")
        return found

    def integer(self, name: str, low: int, high: int, default: int) -> int:
        return self._integer(name, low, high, default)

    def last_event_id(self, header: str | None) -> Place | None:
        """Where to resume: the header goes first, as a reconnecting client's knows more than its address does.

        An id that no stream gave out leads to a fresh start: whoever sends it could do nothing about an error.
        """
        value = header or self._values.get("last_event_id")
        return None if not value else Place.parse(value)

    def _integer(self, name: str, low: int, high: int, default: int) -> int:
        value = self._values.get(name)
        if value is None:
            return default
        if not (value.isascii() and value.isdigit() and len(value) <= 9 and low <= int(value) <= high):
            raise InvalidQuery(f"/{name}", f"a whole number from {low} to {high} is expected")
        return int(value)
