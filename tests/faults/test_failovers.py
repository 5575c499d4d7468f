"""A primary with a replica dies, or comes back while another has taken its place: what is lost, and what returns."""

import asyncio
from collections.abc import Iterator

import pytest

from events.envelope import Envelope
from events.keys import Keys
from tests.faults.checker import looking_into, verdict
from tests.faults.documents import documents_of, wait_until_ended
from tests.faults.history import History
from tests.faults.mill import PROFILE, WAIT_S_MAX, Mill
from tests.faults.redis_load import accepted, assert_told_to_come_back, uploading, wait_for_uploads
from tests.faults.results import ROUNDS, recorded
from tests.servers.failovers import SentinelsFailingOver, redis_behind_sentinels
from tests.waiting import poll

KEYS = Keys(int(PROFILE["MILLSTREAM_PARTITIONS"]))
UPLOADERS = 2
"""Fewer than elsewhere: the same two cores run two servers and three Sentinels."""


@pytest.fixture
def redis() -> Iterator[SentinelsFailingOver]:
    with redis_behind_sentinels() as servers:
        yield SentinelsFailingOver(servers)


@pytest.fixture
def mill(redis: SentinelsFailingOver, request: pytest.FixtureRequest) -> Iterator[Mill]:
    """Where a replica has to confirm, nothing is accepted again from sidecars: what was called kept has to be there."""
    swept_s = {"primary": "1", "replica": "3600"}[request.param]
    variables = {"MILLSTREAM_RECONCILE_AGE_S": swept_s, "MILLSTREAM_CONFIRM": request.param}
    with Mill(variables, replicated_url=redis.url) as started:
        started.start_roles(["worker-1"])
        yield started


@pytest.fixture
def history(mill: Mill) -> Iterator[History]:
    with History(mill.url) as client:
        yield client


async def event_ids(mill: Mill) -> set[str]:
    """What is in the log of whoever is primary now."""
    found: set[str] = set()
    async with looking_into(mill) as stores:
        for partition in range(stores.log.partitions):
            after = None
            while page := await stores.log.read(partition, after=after):
                found.update(one.event_id for one in page if isinstance(one, Envelope))
                after = page[-1].position
    return found


def epochs(redis: SentinelsFailingOver) -> list[int]:
    return [int(redis.ask("HGET", meta, "epoch") or 1) for meta in map(KEYS.meta, range(KEYS.partitions))]


def wait_until_all_ended(mill: Mill, history: History, kb: str) -> None:
    """Every document that was accepted is in the log of whoever is primary now, again where it was lost, and has ended.

    Not asked of the API: it may still talk to a primary that Sentinels have replaced.
    """
    documents = documents_of(list(history.accepted))

    async def missing() -> int:
        async with looking_into(mill) as stores:
            return (await stores.log.versions(documents)).count(0)

    poll(lambda: asyncio.run(missing()) == 0, "every accepted document is there", WAIT_S_MAX)
    wait_until_ended(history, kb, documents, WAIT_S_MAX)


@pytest.mark.timeout(300 * ROUNDS)
@pytest.mark.parametrize("mill", ["primary"], indirect=True)
def test_f16_uploads_that_a_failover_lost_come_back_and_each_is_there_once(
    mill: Mill, history: History, redis: SentinelsFailingOver
) -> None:
    kb = history.create("F-16")
    how = "replica cut off under load, primary killed, replica takes over; sidecars are swept"
    with recorded("F-16", "failover, replica behind", how) as row:
        for _ in range(ROUNDS):
            before = epochs(redis)
            with uploading(history, kb, f"behind {row.runs}", uploaders=UPLOADERS) as settled:
                wait_for_uploads(settled)
                redis.stop_replicating()
                wait_for_uploads(settled)
                there = asyncio.run(event_ids(mill))
                redis.fail_over()
                lost = len(there - asyncio.run(event_ids(mill)))
                wait_for_uploads(settled)
            wait_until_all_ended(mill, history, kb)
            judged = verdict(mill, history, kb).assert_clean()
            raised = [now - then for now, then in zip(epochs(redis), before, strict=True)]
            assert lost > 0, "there was nothing to lose"
            assert sorted(raised) == [0, 1], "of the one partition that lost something"
            refused = assert_told_to_come_back(history.calls)
            row.add({**judged.figures, "events_lost": lost, "epochs_raised": sum(raised), "answers_503": refused})


@pytest.mark.timeout(300 * ROUNDS)
@pytest.mark.parametrize("mill", ["replica"], indirect=True)
def test_f16_what_a_replica_confirmed_survives_the_death_of_its_primary(
    mill: Mill, history: History, redis: SentinelsFailingOver
) -> None:
    kb = history.create("F-16 confirmed")
    how = "primary killed under load, replica takes over; sidecars are not swept"
    with recorded("F-16", "failover, confirm=replica", how) as row:
        for _ in range(ROUNDS):
            with uploading(history, kb, f"confirmed {row.runs}", uploaders=UPLOADERS) as settled:
                wait_for_uploads(settled)
                redis.fail_over()
                confirmed = accepted(settled)
                wait_for_uploads(settled)
            wait_until_all_ended(mill, history, kb)
            judged = verdict(mill, history, kb).assert_clean()
            refused = assert_told_to_come_back(history.calls)
            row.add({**judged.figures, "confirmed_before": confirmed, "answers_503": refused})


@pytest.mark.timeout(300 * ROUNDS)
@pytest.mark.parametrize("mill", ["replica"], indirect=True)
def test_f17_what_an_old_primary_takes_when_it_comes_back_is_never_called_kept(
    mill: Mill, history: History, redis: SentinelsFailingOver
) -> None:
    kb = history.create("F-17")
    how = "SIGSTOP of the primary under load, replica promoted, SIGCONT; confirm=replica, sidecars are not swept"
    with recorded("F-17", "old primary comes back", how) as row:
        for _ in range(ROUNDS):
            with uploading(history, kb, f"split {row.runs}", uploaders=UPLOADERS) as settled:
                wait_for_uploads(settled)
                redis.hang()
                redis.wake()
                wait_for_uploads(settled)
            wait_until_all_ended(mill, history, kb)
            judged = verdict(mill, history, kb).assert_clean()
            refused = assert_told_to_come_back(history.calls)
            row.add({**judged.figures, "answers_503": refused})
