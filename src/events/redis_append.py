"""One append as `append.lua` is asked for it: its keys, its numbers packed into one argument, its bytes behind them."""

from collections.abc import Mapping
from struct import Struct
from typing import Final, NamedTuple, assert_never

from msgspec.structs import astuple

from events.append_plan import EnterDead, EnterDue, EnterInbox, LeaveDead, Plan
from events.digests import Move
from events.ids import KnowledgeBaseId, pack_stream_id
from events.inbox import Delivery
from events.keys import Keys
from events.log import Tally
from events.redis_wire import Argument
from events.steps import Lane, Step

_head: Final = Struct(">IIHHBBHHHB").pack
_write: Final = Struct(">QH").pack
_tally: Final = Struct(">iiiiiB").pack
_digest: Final = Struct(">HBH").pack
_entered: Final = Struct(">cBH").pack

MOVES: Final[Mapping[Move, bytes]] = {Move.FIRST: b"<", Move.LAST: b">", Move.RELEASE: b"x"}


class AppendCall(NamedTuple):
    """What an append has of its own of KEYS and ARGV, as the head of `append.lua` describes them."""

    keys: list[str]
    arguments: list[Argument]
    size_bytes: int
    """Of its events."""


def append_call(plan: Plan, keys: Keys, acknowledge: Delivery | None) -> AppendCall:
    """Pure."""
    names: list[str] = []
    numbers: list[bytes] = [b""]
    arguments: list[Argument] = [b""]
    size_bytes = 0
    for write in plan.writes:
        names += keys.of_stream(write.stream_id)
        numbers.append(_write(write.expected_version, len(write.payloads)))
        arguments.append(pack_stream_id(write.stream_id))
        arguments += write.payloads
        size_bytes += sum(map(len, write.payloads))
    tallies = _add_tallies(plan, keys, names, numbers) if plan.tallies or plan.finished else []
    inboxes: list[tuple[Step, Lane]] = []
    for one in plan.consequences:
        if type(one) is EnterInbox and (one.step, one.lane) not in inboxes:
            inboxes.append((one.step, one.lane))
            names.append(keys.inbox(plan.partition, one.step, one.lane))
    knowledge_bases = _add_digests(plan, keys, names, numbers, arguments) if plan.digests else 0
    uses_times = _add_consequences(plan, inboxes, tallies, numbers, arguments) if plan.consequences else False
    if acknowledge is not None:
        names.append(keys.inbox(plan.partition, acknowledge.step, acknowledge.lane))
        arguments.append(acknowledge.entry_id)
    numbers[0] = _head(
        len(names),
        len(arguments) - 1,
        len(plan.writes),
        len(tallies),
        len(inboxes),
        uses_times,
        knowledge_bases,
        len(plan.digests),
        len(plan.consequences),
        acknowledge is not None,
    )
    arguments[0] = b"".join(numbers)
    return AppendCall(names, arguments, size_bytes)


def _add_tallies(plan: Plan, keys: Keys, names: list[str], numbers: list[bytes]) -> list[str]:
    changes = {**dict.fromkeys(plan.finished, Tally()), **plan.tallies}
    for task, change in changes.items():
        names.append(keys.tally(task))
        numbers.append(_tally(*astuple(change), task in plan.finished))
    return list(changes)


def _add_digests(plan: Plan, keys: Keys, names: list[str], numbers: list[bytes], arguments: list[Argument]) -> int:
    """How many knowledge bases there are."""
    knowledge_bases: dict[KnowledgeBaseId, int] = {}
    for key, planned in plan.digests.items():
        number = knowledge_bases.setdefault(key.knowledge_base_id, len(knowledge_bases) + 1)
        numbers.append(_digest(number, planned.holder is not None, len(planned.moves)))
        arguments.append(key.digest)
        if planned.holder is not None:
            arguments.append(planned.holder)
        for move, document in planned.moves:
            numbers.append(MOVES[move])
            arguments.append(document)
    names += map(keys.digests, knowledge_bases)
    return len(knowledge_bases)


def _add_consequences(
    plan: Plan, inboxes: list[tuple[Step, Lane]], tallies: list[str], numbers: list[bytes], arguments: list[Argument]
) -> bool:
    """Whether a timer or a dead letter is among them."""
    uses_times = False
    for consequence in plan.consequences:
        match consequence:
            case EnterInbox(step, lane, pointer, when_task_ends):
                tally = 0 if when_task_ends is None else tallies.index(when_task_ends) + 1
                numbers.append(_entered(b"i", inboxes.index((step, lane)) + 1, tally))
                arguments.append(pointer)
                continue
            case EnterDue(due_at_ms, timer):
                numbers.append(b"t")
                arguments += (due_at_ms, timer)
            case EnterDead(failed_at_ms, stream_id):
                numbers.append(b"d")
                arguments += (failed_at_ms, stream_id)
            case LeaveDead(stream_id):
                numbers.append(b"r")
                arguments.append(stream_id)
            case _:
                assert_never(consequence)
        uses_times = True
    return uses_times
