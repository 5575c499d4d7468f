"""Pointers, timers, dead letters, tallies and digests compared with what the log says, and put where they are missing.

Appends and workers go on meanwhile. Everything is guarded by the version that it was worked out from (tallies and
digests by the last event's number); what was refused is worked out again from the facts that came in between.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Final, TypeVar

import msgspec

from domain.decider import Run
from domain.document import DocumentState
from events.derived import GUARDED_MAX, DeadLetterChange, DerivedStore, Owed
from events.digests import Claims, DigestKey
from events.envelope import Envelope, Position
from events.ids import TaskId, unpack_stream_id
from events.log import EventLog, Tally, Unreadable
from projections.building import check_dense
from projections.errors import RebuildRefused
from projections.outstanding import Outstanding
from projections.progress import Difference, Progress, Tell, silent

PAGE_EVENTS: Final = 1_000

ROUNDS_MAX: Final = 200
"""How often what was refused is worked out again. A round takes milliseconds and is refused by what came within it."""

GRACE_MS: Final = 15_000
"""What a worker had begun is due after this time: the default lease, in which whoever lives ends most steps."""


class Kind(StrEnum):
    """What can be made anew, each without the others."""

    INBOXES = "inboxes"
    TIMERS = "timers"
    DEAD_LETTERS = "dead_letters"
    TALLIES = "tallies"
    DIGESTS = "digests"


class Rederived(msgspec.Struct, frozen=True):
    """What was not as the log says, and up to which event that was worked out."""

    events: int
    differences: tuple[Difference, ...]


class Followed:
    """A partition's facts up to the event `number`, and what they leave to be done."""

    def __init__(self) -> None:
        self.number = 0
        self.after: Position | None = None
        self.outstanding = Outstanding()

    def follow(
        self, page: Sequence[Envelope | Unreadable], folded: Mapping[str, Run[DocumentState]] | None = None
    ) -> None:
        """The next page; events that were followed before are passed over. Raises RebuildRefused at a gap.

        `folded`: how every document of the page went, where somebody has folded them already.
        """
        number = self.number
        is_next = bool(page) and page[0].number == number + 1
        new = page if is_next else [entry for entry in page if not 0 < (entry.number or 0) <= number]
        check_dense(new, number)
        if not new:
            return
        self.outstanding.follow([entry for entry in new if type(entry) is Envelope], folded if is_next else None)
        self.number = next((entry.number for entry in reversed(new) if entry.number), number)
        self.after = new[-1].position


T = TypeVar("T")


async def rederive(
    event_log: EventLog,
    store: DerivedStore,
    partition: int,
    kinds: Collection[Kind],
    *,
    clock_ms: Callable[[], int],
    grace_ms: int = GRACE_MS,
    repairs: bool = True,
    tell: Tell = silent,
    followed: Followed | None = None,
) -> Rederived:
    """Compares, and with `repairs` puts what is missing. Raises RebuildRefused and what log and store raise.

    `followed` has read the log so far while something else was made of it: once is enough for both.
    What is too much (a pointer to what was done, say) is left alone: whoever takes it finds nothing to do.
    """
    known = Followed() if followed is None else followed
    work = _Work(event_log, store, partition, known, clock_ms, grace_ms, repairs=repairs, tell=tell)
    await work.catch_up()
    differences: list[Difference] = []
    if Kind.TALLIES in kinds:
        differences += await work.tallies()
    if Kind.INBOXES in kinds or Kind.TIMERS in kinds:
        differences += await work.pointers(kinds)
    if Kind.DEAD_LETTERS in kinds:
        differences += await work.dead_letters()
    if Kind.DIGESTS in kinds:
        differences += await work.digests()
    return Rederived(work.number, tuple(differences))


class _Work:
    def __init__(
        self,
        event_log: EventLog,
        store: DerivedStore,
        partition: int,
        followed: Followed,
        clock_ms: Callable[[], int],
        grace_ms: int,
        *,
        repairs: bool,
        tell: Tell,
    ) -> None:
        self._log = event_log
        self._store = store
        self._partition = partition
        self._clock_ms = clock_ms
        self._grace_ms = grace_ms
        self._repairs = repairs
        self._tell = tell
        self._followed = followed
        self._outstanding = followed.outstanding
        self._changed: set[TaskId] = set()

    @property
    def number(self) -> int:
        return self._followed.number

    async def catch_up(self) -> None:
        """Folds up to where the log ends when this is asked."""
        head = await self._log.head(self._partition)
        while self.number < head.number:
            limit = min(PAGE_EVENTS, head.number - self.number)
            page = await self._log.read(self._partition, after=self._followed.after, limit=limit)
            if not page:
                raise RebuildRefused("the log ends before it says that it does")
            self._followed.follow(page)
            self._tell(Progress(self.number, head.number))
        if self._outstanding.newer:
            raise RebuildRefused(
                f"{self._outstanding.newer} facts were written by a newer version of this program; "
                "what they lead to only that version knows"
            )

    async def tallies(self) -> list[Difference]:
        differences: list[Difference] = []
        for tasks in _parts(list(self._outstanding.tallies())):
            differences += await self._tallies_of(tasks)
        return differences

    async def _tallies_of(self, tasks: Sequence[TaskId]) -> list[Difference]:
        for _ in range(ROUNDS_MAX):
            found = await self._store.tallies(self._partition, tasks)
            if found.number == self.number:
                known = self._outstanding.tallies()
                wrong = {
                    task: (tally, known[task])
                    for task, tally in zip(tasks, found.tallies, strict=True)
                    if task in known and tally != known[task]
                }
                if not self._repairs or await self._set({task: right for task, (_, right) in wrong.items()}):
                    self._changed.update(wrong)
                    return [Difference(f"tallies/{task}", kept, right) for task, (kept, right) in wrong.items()]
            await self.catch_up()
        raise RebuildRefused("the log grows too fast for its tallies to be compared; try again when it is quieter")

    async def _set(self, tallies: dict[TaskId, Tally]) -> bool:
        return not tallies or await self._store.set_tallies(self._partition, self.number, tallies)

    async def digests(self) -> list[Difference]:
        differences: list[Difference] = []
        for keys in _parts(await self._suspected()):
            differences += await self._claims_of(keys)
        return differences

    async def _suspected(self) -> list[DigestKey]:
        """Digests that are not claimed as the facts say, or were changed while they were being read."""
        suspected: list[DigestKey] = []
        for knowledge_base in self._outstanding.knowledge_bases():
            kept, right = await self._store.digests(knowledge_base), self._outstanding.claims(knowledge_base)
            if kept == right:  # as a rule, and told at a tenth of what looking at each takes
                continue
            differ = [one for one in kept.keys() | right.keys() if kept.get(one) != right.get(one)]
            suspected += [DigestKey(knowledge_base, digest) for digest in sorted(differ)]
        return suspected

    async def _claims_of(self, keys: Sequence[DigestKey]) -> list[Difference]:
        for _ in range(ROUNDS_MAX):
            found = await self._store.claims(self._partition, keys)
            if found.number == self.number:
                kept = dict(zip(keys, found.claims, strict=True))
                right = {key: self._outstanding.claims(key.knowledge_base_id).get(key.digest, ()) for key in keys}
                wrong = {key: one for key, one in right.items() if one != kept[key]}
                is_set = not (wrong and self._repairs)
                if is_set or await self._store.set_claims(self._partition, self.number, wrong):
                    return [_claims_difference(key, kept[key], one) for key, one in wrong.items()]
            await self.catch_up()
        raise RebuildRefused("the log grows too fast for its digests to be compared; try again when it is quieter")

    async def pointers(self, kinds: Collection[Kind]) -> list[Difference]:
        differences: dict[str, Difference] = {}
        for _ in range(ROUNDS_MAX):
            missing = await self._missing(kinds)
            stands = await self._put_or_look(missing)
            for one, stood in zip(missing, stands, strict=True):
                if stood and (self._repairs or not one.may_be_done):
                    difference = _pointer_difference(one)
                    differences[difference.name] = difference
            if all(stands):
                return list(differences.values())
            await self.catch_up()
        raise RebuildRefused("the documents change too fast for their pointers to be compared; try again later")

    async def _missing(self, kinds: Collection[Kind]) -> list[Owed]:
        held = await self._store.errands(self._partition)
        wanted = [*self._outstanding.owed(self._clock_ms(), self._grace_ms)]
        ends = self._outstanding.ends()
        # A delivery that met the wrong tally ended without a fact, and may be about to leave the inbox.
        again = [one for task, one in ends.items() if task in self._changed and self._repairs]
        self._changed.clear()
        wanted += [one for one in ends.values() if one not in again]
        absent = [one for one in wanted if one.errand not in held]
        return [one for one in [*again, *absent] if _kind_of(one) in kinds]

    async def _put_or_look(self, owed: Sequence[Owed]) -> list[bool]:
        """Whether each still held when it was put, or looked at."""
        stands: list[bool] = []
        for part in _parts(owed):
            if self._repairs:
                stands += await self._store.put(self._partition, part)
            else:
                versions = await self._log.versions([one.guard for one in part])
                stands += [one.guard_version == version for one, version in zip(part, versions, strict=True)]
        return stands

    async def dead_letters(self) -> list[Difference]:
        differences: dict[str, Difference] = {}
        for _ in range(ROUNDS_MAX):
            kept, right = await self._store.dead_letters(self._partition), self._outstanding.dead_letters()
            names = sorted(name for name in kept.keys() | right.keys() if kept.get(name) != right.get(name))
            stands: list[bool] = []
            for part in _parts([self._outstanding.dead_letter_change(name) for name in names]):
                stands += await self._change_or_look(part)
            for name, stood in zip(names, stands, strict=True):
                if stood:
                    differences[name] = Difference(f"dead_letters/{name}", kept.get(name), right.get(name))
            if all(stands):
                return list(differences.values())
            await self.catch_up()
        raise RebuildRefused("the documents change too fast for the dead letters to be compared; try again later")

    async def _change_or_look(self, changes: Sequence[DeadLetterChange]) -> list[bool]:
        if self._repairs:
            return await self._store.change_dead_letters(self._partition, changes)
        versions = await self._log.versions([one.stream_id for one in changes])
        return [one.version == version for one, version in zip(changes, versions, strict=True)]


def _kind_of(owed: Owed) -> Kind:
    return Kind.INBOXES if owed.due_at_ms is None else Kind.TIMERS


def _pointer_difference(owed: Owed) -> Difference:
    name = f"{_kind_of(owed)}/{owed.step}/{owed.errand.stream_id}"
    return Difference(name, None, msgspec.to_builtins(owed.pointer) | {"due_at_ms": owed.due_at_ms})


def _claims_difference(key: DigestKey, kept: Claims, right: Claims) -> Difference:
    name = f"digests/{key.knowledge_base_id}/{key.digest.hex()}"
    return Difference(name, list(map(unpack_stream_id, kept)), list(map(unpack_stream_id, right)))


def _parts(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), GUARDED_MAX):
        yield items[start : start + GUARDED_MAX]
