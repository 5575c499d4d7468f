"""If-Match and If-None-Match of what changes something (RFC 9110, section 13.1): only what was seen may be changed."""

from collections.abc import Callable
from typing import Any, Final

import msgspec
from starlette.datastructures import Headers

from domain.decider import Folded
from ingest.problems import ProblemCode, Rejected


class Preconditions(msgspec.Struct, frozen=True):
    """Tags without their quotes; None where the header did not come. `*` stands for any version."""

    match: frozenset[str] | None = None
    none_match: frozenset[str] | None = None

    @property
    def are_given(self) -> bool:
        return self.match is not None or self.none_match is not None

    def check(self, version: int) -> None:
        """Of what is there at this version. Raises Rejected."""
        tags = {"*", str(version)}
        if (self.match is not None and tags.isdisjoint(self.match)) or (
            self.none_match is not None and not tags.isdisjoint(self.none_match)
        ):
            raise _failed()

    def of_known(self, known: Folded[Any]) -> Callable[[Folded[Any]], None] | None:
        """For `handle`: what was checked as it is known here must still be so when it is written."""
        return _unchanged_since(known.version) if self.are_given else None


NO_PRECONDITIONS: Final = Preconditions()


def preconditions_of(headers: Headers) -> Preconditions:
    """Weak tags match nothing: they do not promise that all is the same."""
    return Preconditions(_tags(headers.getlist("if-match")), _tags(headers.getlist("if-none-match")))


def _tags(values: list[str]) -> frozenset[str] | None:
    if not values:
        return None
    return frozenset(tag.strip().removeprefix('"').removesuffix('"') for tag in ",".join(values).split(","))


def _unchanged_since(version: int) -> Callable[[Folded[Any]], None]:
    def check(now: Folded[Any]) -> None:
        if now.version != version:
            raise _failed()

    return check


def _failed() -> Rejected:
    return Rejected(ProblemCode.PRECONDITION_FAILED, "It is not at the version that the header names; read it again.")
