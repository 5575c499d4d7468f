"""What a person may ask of `millstream replay`."""

from enum import StrEnum

import msgspec

from projections.as_of import Moment
from projections.progress import Difference
from projections.projection import TABLES
from projections.rederive import Kind

VIEWS = "views"
PROJECTIONS = (VIEWS, *(table.name for table in TABLES), *(kind.value for kind in Kind))
ONLY_TOGETHER = frozenset(table.name for table in TABLES)
"""Rows of all tables and their lists are committed together with one checkpoint: what readers see is of one moment."""


class Source(StrEnum):
    """Where events are read: from the segments first, or from the log without them. By default where they are."""

    ARCHIVE = "archive"
    LOG = "log"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a person asked for. `projection` None is everything, `processes` None as many as are worth it."""

    projection: str | None = None
    source: Source | None = None
    verifies: bool = False
    repairs: bool = False
    as_of: Moment | None = None
    is_dry_run: bool = False
    processes: int | None = None

    @property
    def with_views(self) -> bool:
        return self.projection is None or self.projection == VIEWS or self.projection in ONLY_TOGETHER

    @property
    def kinds(self) -> tuple[Kind, ...]:
        return tuple(kind for kind in Kind if self.projection in {None, kind.value})

    def tells_of(self, difference: Difference) -> bool:
        """Whether a difference belongs to the projection that was named."""
        named = self.projection
        return named is None or named == VIEWS or difference.name.startswith(f"{named}/")


class Planned(msgspec.Struct, frozen=True):
    """One partition before anything is done: its events, and where the live views stand."""

    partition: int
    events: int
    projected: int
    generation: int
