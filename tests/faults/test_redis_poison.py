"""What somebody else wrote into our streams: consumers tell of it, pass it over and go on."""

import asyncio
import time
from collections.abc import Iterator
from itertools import count
from typing import Any, Final

import msgspec
import pytest
from redis import Redis

from events.append_plan import plan_append
from events.codec import encode
from events.document import StepStarted
from events.envelope import Envelope
from events.ids import EventId, partition_of
from events.keys import Keys
from events.log import Write
from events.pointer import Pointer, pack_pointer
from events.redis_append import append_call
from events.redis_border import Script
from events.redis_log import GROUP
from events.steps import Lane, Step
from millstream.stores import Stores, views_of
from projections.views import Checkpoint
from tests.event_samples import envelope, new_document, new_knowledge_base, new_task, unique
from tests.faults.checker import Allowance, looking_into, verdict
from tests.faults.documents import submit_each, texts
from tests.faults.history import History
from tests.faults.mill import WORKERS, Mill
from tests.faults.redis_load import Quiet, assert_told_to_come_back, seconds_until_accepted, server_of, wait_for_answer
from tests.faults.results import recorded
from tests.waiting import poll

PARTITIONS: Final = 2
FOLLOWING_S_MAX: Final = 2.0
DAY_MS: Final = 86_400_000
EXHAUSTED_AT: Final = 2**64 - 1
LAST_ID: Final = f"{EXHAUSTED_AT}-{EXHAUSTED_AT}"
KEYS: Final = Keys(PARTITIONS)


@pytest.fixture(scope="module")
def mill() -> Iterator[Mill]:
    """Of its own: what nobody can read stays in the log, and every judge would tell of it."""
    with Mill() as started:
        yield started.start_all()


@pytest.fixture
def server(mill: Mill) -> Iterator[Redis]:
    with server_of(mill) as client:
        yield client


def test_events_that_nobody_can_read_are_counted_and_the_next_one_is_folded(
    mill: Mill, history: History, server: Redis
) -> None:
    kb = history.create("F-38 events")
    partition = partition_of(kb)
    others = (history.create(f"F-38 left alone {number}") for number in count())
    other = next(one for one in others if partition_of(one) == partition)
    whole = encode(
        envelope(
            new_document(partition), 1, StepStarted(step=Step.PARSE, attempt=1, worker="w"), task=new_task(partition)
        )
    )
    poison: list[dict[Any, Any]] = [
        {"e": b"\xc1 no msgpack", "n": b""},
        {"e": whole[: len(whole) // 2]},
        {"e": msgspec.msgpack.encode(msgspec.msgpack.decode(whole)[:5])},
        {"e": msgspec.msgpack.encode({"type": "StepStarted"}), "n": b"many"},
        {"something": "else"},
    ]
    with recorded("F-38", "poison events", "XADD of bad msgpack, missing fields; unknown type and version") as row:
        quiet, before = Quiet(mill), asyncio.run(_checkpoint(mill, partition))
        for fields in poison:
            server.xadd(KEYS.log(partition), fields)
        asyncio.run(_append_from_the_future(mill, kb, other))
        history.submit(kb, texts(1, "following"))
        began_s = time.monotonic()
        poll(lambda: asyncio.run(_is_folded(mill, partition)), "the following event is folded", FOLLOWING_S_MAX)
        folded_s = time.monotonic() - began_s
        judged = verdict(mill, history, kb, allows=Allowance(unreadable=len(poison))).assert_clean()
        now = asyncio.run(_checkpoint(mill, partition))
        parked, unknown = now.unreadable - before.unreadable, now.unknown - before.unknown
        assert (parked, unknown) == (len(poison), 2)
        row.add({**judged.figures, "parked": parked, "unknown": unknown, "folded_s": folded_s})
        quiet.assert_kept()


def test_pointers_that_lead_nowhere_are_told_of_and_the_next_one_is_worked_on(
    mill: Mill, history: History, server: Redis
) -> None:
    kb = history.create("F-38 pointers")
    partition = partition_of(kb)
    elsewhere = (partition + 1) % PARTITIONS
    unreadable: list[dict[Any, Any]] = [
        {"p": b"no pointer"},
        {"something": "else", "and": "more"},
        {"p": _pointer(new_document(elsewhere), partition)},
        {"p": _pointer(new_knowledge_base(partition), partition)},
    ]
    steps = (Step.PARSE, Step.CHUNK, Step.EMBED, Step.INDEX)
    with recorded("F-38", "poison pointers", "XADD of damaged and misled pointers into four inboxes") as row:
        quiet, told = Quiet(mill), _told_of_pointers(mill)
        for step in steps:
            for fields in (*unreadable, {"p": _pointer(new_document(partition), partition)}):
                server.xadd(KEYS.inbox(partition, step, Lane.INTERACTIVE), fields)
        submit_each(history, kb, texts(2, "following"))
        judged = verdict(mill, history, kb, within_s=10, allows=Allowance(unreadable=_unreadable(mill))).assert_clean()
        parked = _told_of_pointers(mill) - told
        assert parked == len(unreadable) * len(steps)
        row.add({**judged.figures, "parked": parked})
        quiet.assert_kept()


def test_entries_from_a_clock_that_is_a_day_ahead_change_nothing(mill: Mill, history: History, server: Redis) -> None:
    kb = history.create("F-39")
    partition = partition_of(kb)
    with recorded("F-39", "Redis' clock ahead", "XADD with an id of tomorrow into log and inboxes") as row:
        tomorrow = f"{int(time.time() * 1_000) + DAY_MS}-0"
        unreadable = _unreadable(mill)
        server.xadd(KEYS.log(partition), {"e": b"tomorrow"}, id=tomorrow)
        for step in Step:
            server.xadd(KEYS.inbox(partition, step, Lane.INTERACTIVE), {"p": b"tomorrow"}, id=tomorrow)
        submit_each(history, kb, texts(5, "after tomorrow"))
        # Nobody serves callbacks.
        server.delete(KEYS.inbox(partition, Step.CALLBACK, Lane.INTERACTIVE))
        judged = verdict(mill, history, kb, allows=Allowance(unreadable=unreadable + 1)).assert_clean()
        behind = len(server.xrange(KEYS.log(partition), min=f"({tomorrow}") or ())
        assert behind >= judged.documents
        row.add({**judged.figures, "ids_behind_tomorrow": behind})


def test_a_log_that_takes_no_more_entries_is_waited_for_until_an_operator_has_rolled_it(
    mill: Mill, history: History, server: Redis
) -> None:
    kb = history.create("F-40")
    log = KEYS.log(partition_of(kb))
    with recorded(
        "F-40", "ids of the log exhausted", "XADD of the last id; then all other entries moved to a new stream"
    ) as row:
        submit_each(history, kb, texts(2, "before"))
        verdict(mill, history, kb, allows=Allowance(unreadable=_unreadable(mill))).assert_clean()
        quiet, unreadable = Quiet(mill), _unreadable(mill)
        server.xadd(log, {"e": b"the last"}, id=LAST_ID)
        for _ in range(3):
            assert history.upload(kb, texts(1, "refused")).status == 503
        wait_for_answer(history, 503, 0)
        # The projector has passed it over, so it now stands at a place behind which nothing can come.
        poll(lambda: asyncio.run(_stands_at_the_last(mill, partition_of(kb))), "the projector has read the entry")
        _roll(server, log)
        rolled_s = time.monotonic()
        submit_each(history, kb, texts(3, "after"))
        accepted_s = seconds_until_accepted(history, rolled_s)
        judged = verdict(mill, history, kb, allows=Allowance(unreadable=unreadable)).assert_clean()
        refused = assert_told_to_come_back(history.calls)
        lines = quiet.assert_kept()
        row.add({**judged.figures, "answers_503": refused, "accepted_s": accepted_s, "lines_max": lines})


def _roll(server: Redis, log: str) -> None:
    """What an operator does, in one step: every entry but the last goes under its own id into a stream of that name.

    XSETID does not do it: an id that was deleted is never given again.
    """
    rolled = """
        local entries = redis.call('XRANGE', KEYS[1], '-', '+')
        redis.call('DEL', KEYS[1])
        for i = 1, #entries - 1 do redis.call('XADD', KEYS[1], entries[i][1], unpack(entries[i][2])) end
    """
    server.eval(rolled, 1, log)


def _pointer(stream: str, partition: int) -> bytes:
    task, kb = new_task(partition), new_knowledge_base(partition)
    return pack_pointer(Pointer(stream, 1, EventId(unique()), task, kb))


def _told_of_pointers(mill: Mill) -> int:
    return sum(mill.log(name).count('"pointer_unreadable"') for name in WORKERS)


def _unreadable(mill: Mill) -> int:
    async def read() -> int:
        async with looking_into(mill) as stores:
            found = [await views_of(stores).checkpoint(partition) for partition in range(PARTITIONS)]
            return sum(one.unreadable for one in found)

    return asyncio.run(read())


async def _checkpoint(mill: Mill, partition: int) -> Checkpoint:
    async with looking_into(mill) as stores:
        return await views_of(stores).checkpoint(partition)


async def _is_folded(mill: Mill, partition: int) -> bool:
    async with looking_into(mill) as stores:
        return (await views_of(stores).checkpoint(partition)).number >= (await stores.log.head(partition)).number


async def _stands_at_the_last(mill: Mill, partition: int) -> bool:
    position = (await _checkpoint(mill, partition)).position
    return position is not None and position.ms == EXHAUSTED_AT


async def _append_from_the_future(mill: Mill, kb: str, other: str) -> None:
    """Events of a newer program: of an unknown type, which changes nothing here; of a later version, after which that
    knowledge base alone is left to newer programs."""
    async with looking_into(mill) as stores:
        for stream, place, value in ((kb, 1, 126), (other, 2, 99)):
            last = (await stores.log.history(stream))[-1]
            await _append_altered(stores, last, place, value)


async def _append_altered(stores: Stores, last: Envelope, place: int, value: object) -> None:
    # Any event that can be written will do: its bytes are altered before they leave.
    changed = (await stores.log.history(last.stream_id))[0].event
    again = msgspec.structs.replace(
        last, event=changed, event_id=stores.ids.event(), version=last.version + 1, position=None, number=None
    )
    write = Write(
        stream_id=last.stream_id,
        expected_version=last.version,
        envelopes=(again,),
        knowledge_base_id=last.stream_id,  # type: ignore[arg-type]
    )
    plan = plan_append([write], partitions=PARTITIONS)
    frame = msgspec.msgpack.decode(plan.writes[0].payloads[0])
    frame[place] = value
    altered = msgspec.structs.replace(plan.writes[0], payloads=(msgspec.msgpack.encode(frame),))
    call = append_call(msgspec.structs.replace(plan, writes=(altered,)), stores.keys, None)
    keys = [*stores.keys.of_append(plan.partition), *call.keys]
    (answer,) = await Script("append.lua").run(stores.clients.commands, keys, (GROUP, 1_000, *call.arguments))
    assert answer[0] == 1, answer
