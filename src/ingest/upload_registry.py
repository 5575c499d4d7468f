"""What is known of resumable uploads while they last: how far each has come, whose it is, and what became of it.

An upload is open until it has an outcome. Its bytes are blobs, one a piece; a piece counts once it is recorded, and it
is recorded only by whoever took the upload last: each taker gets a higher fence, and every lower one is refused from
then on. So two writers never mix, however long one of them stood still.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from events.ids import TaskId
from ingest.problems import ProblemCode


class UploadKind(StrEnum):
    """A final upload is made of partial ones; a whole one is neither."""

    WHOLE = "whole"
    PARTIAL = "partial"
    FINAL = "final"


class Finished(msgspec.Struct, frozen=True, tag="finished"):
    """It became a task."""

    task_id: TaskId


class Ended(msgspec.Struct, frozen=True, tag="ended"):
    """It can become nothing any more, and why."""

    code: ProblemCode
    detail: str


Outcome = Finished | Ended


class NewUpload(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for. `metadata` and `concat` are headers as they came; `parts` are ids of partial uploads;
    `length` is None for one that is told later."""

    upload_id: str
    actor: str
    kind: UploadKind = UploadKind.WHOLE
    metadata: str = ""
    concat: str = ""
    parts: tuple[str, ...] = ()
    length: int | None = None


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """`length` is None as long as the client has not told it. A final one has all its bytes from the beginning.

    `pieces` is how many are recorded."""

    about: NewUpload
    length: int | None
    offset: int
    fence: int
    pieces: int
    expires_us: int
    outcome: Outcome | None = None

    @property
    def has_all_bytes(self) -> bool:
        return self.about.kind is UploadKind.FINAL or self.offset == self.length

    def is_expired(self, now_us: int) -> bool:
        """One that has all its bytes is never: it was promised to become a task."""
        return self.outcome is None and not self.is_ready and self.expires_us <= now_us

    @property
    def is_finished(self) -> bool:
        return isinstance(self.outcome, Finished)

    @property
    def is_ready(self) -> bool:
        """Whether it is to become a task now."""
        return self.outcome is None and self.has_all_bytes and self.about.kind is not UploadKind.PARTIAL


class Piece(msgspec.Struct, frozen=True):
    """A blob with the bytes from `offset` on."""

    offset: int
    size_bytes: int
    key: str


class UploadRegistry(Protocol):
    """Every call is atomic for one upload. Times are unix µs. All raise LogUnavailable, those that write LogFull."""

    async def create(self, new: NewUpload, *, expires_us: int, now_us: int, open_max: int) -> Upload | None:
        """The upload of this id: the one that is there already, else a new one.

        None where the actor has `open_max` others that have not expired.
        """
        ...

    async def get(self, upload_id: str) -> Upload | None:
        """None for one that never was, or was forgotten."""
        ...

    async def take(self, upload_id: str, *, offset: int, length: int | None = None) -> Upload | None:
        """The right to record from `offset` on: the fence of what is answered.

        Nothing changes unless the upload is open and stands at `offset`, and `length`, where given, is the one in
        force; one that was not known yet is fixed by that.
        """
        ...

    async def record(self, upload_id: str, fence: int, pieces: Sequence[Piece], *, expires_us: int) -> bool:
        """Adds pieces that follow one another, the first at the present offset, all or none. It may be said
        twice and counts once.

        False where somebody else has taken the upload since. One that has all its bytes by that is kept until it has
        an outcome. `pieces` is not empty.
        """
        ...

    async def pieces(self, upload_id: str) -> tuple[Piece, ...]:
        """What was recorded, in order; empty once there is an outcome."""
        ...

    async def begin_finish(self, upload_id: str, holder: str, *, now_us: int, until_us: int) -> bool:
        """Whether the holder is to finish it: nobody else is at it, or was to be done by now."""
        ...

    async def stop_finish(self, upload_id: str) -> None:
        """Lets the next one try at once."""
        ...

    async def end(self, upload_id: str, outcome: Outcome, *, kept_until_us: int) -> Upload | None:
        """Gives it its outcome, unless it has one; forgets its pieces. Answers the upload as it is then."""
        ...

    async def remove(self, upload_id: str) -> bool:
        """Forgets it altogether; False where there was none."""
        ...

    async def look_at(self, upload_id: str, actor: str, at_us: int) -> None:
        """When upkeep is to look at it next; until then it counts as one of the actor's open ones."""
        ...

    async def due(self, now_us: int, count: int) -> tuple[str, ...]:
        """Uploads to look at now, the longest due first."""
        ...

    async def forget(self, upload_id: str, actor: str | None) -> None:
        """Nobody needs to look at it any more; without its actor it stays among the actor's until its time."""
        ...
