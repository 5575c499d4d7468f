"""The way to Redis is slow, loses replies, is refused or forbidden: each append is one event, and nobody gives up."""

import time
from collections.abc import Callable, Iterator

import pytest
from redis import Redis

from tests.faults.checker import verdict
from tests.faults.documents import submit_each, texts
from tests.faults.history import Call, History
from tests.faults.mill import Mill
from tests.faults.redis_load import (
    Quiet,
    assert_told_to_come_back,
    seconds_until_accepted,
    server_of,
    uploading,
    wait_for_answer,
    wait_for_uploads,
)
from tests.faults.results import ROUNDS, recorded
from tests.servers.tcp_proxy import Loss, TcpProxy, Weather
from tests.waiting import poll

RECONNECTED_S_MAX = 3.0
OUTAGE_S = 2.0
LEASE_S = 5
"""A heartbeat takes 2 s in the worst weather here."""

SLOW_S = 0.2
VERY_SLOW_S = 2.0
ROUND_TRIPS_MAX = 2.5
"""An upload asks for its knowledge base and appends: two. With a third it would take longer than 200 + 300 ms."""

SCRIPTS = b"EVALSHA"
LOST_EVERY = {Loss.CUT: 3, Loss.TRUNCATE: 3, Loss.SILENCE: 5}
"""Silence costs 5 s each time."""


@pytest.fixture(scope="module")
def world() -> Iterator[tuple[Mill, TcpProxy]]:
    with Mill({"MILLSTREAM_LEASE_S": str(LEASE_S)}) as mill:
        mill.redis.start()
        with TcpProxy(mill.redis.url) as proxy:
            mill.redis_url = proxy.url
            mill.start_roles()
            yield mill, proxy
            mill.end()


@pytest.fixture
def mill(world: tuple[Mill, TcpProxy]) -> Mill:
    return world[0]


@pytest.fixture
def proxy(world: tuple[Mill, TcpProxy]) -> Iterator[TcpProxy]:
    """In fair weather again behind each test."""
    yield world[1]
    world[1].become()


@pytest.fixture
def server(mill: Mill) -> Iterator[Redis]:
    with server_of(mill) as client:
        yield client


def test_uploads_are_accepted_as_fast_as_a_slow_redis_lets_them(mill: Mill, history: History, proxy: TcpProxy) -> None:
    kb = history.create("F-18 slow")
    fair = submit_each(history, kb, texts(10, "fair"), at_once=4)
    with recorded("F-18", "Redis slow, 200 ms a command", "proxy delays each reply, one event each append") as row:
        proxy.become(Weather(delay_s=SLOW_S))
        calls = submit_each(history, kb, texts(20, "slow"), at_once=4)
        proxy.become()
        judged = verdict(mill, history, kb).assert_clean()
        figures = {"fair_p50_s": _quantile_s(fair, 0.5), "accepted_p50_s": _quantile_s(calls, 0.5)}
        row.add({**judged.figures, **figures, "accepted_p99_s": max(call.seconds for call in calls)})
        # Less what the machine alone takes. Of the faster calls: a round trip too many is in each, a machine that
        # was busy for a moment is not.
        assert _quantile_s(calls, 0.25) - _quantile_s(fair, 0.25) <= ROUND_TRIPS_MAX * SLOW_S


def _quantile_s(calls: list[Call], share: float) -> float:
    return sorted(call.seconds for call in calls)[int(share * len(calls))]


def test_a_very_slow_redis_delays_and_breaks_nothing(mill: Mill, history: History, proxy: TcpProxy) -> None:
    kb = history.create("F-18 very slow")
    with recorded("F-18", "Redis very slow, 2 s a command", "proxy delays each reply") as row:
        quiet = Quiet(mill)
        proxy.become(Weather(delay_s=VERY_SLOW_S))
        submit_each(history, kb, texts(3, "very slow"))
        proxy.become()
        judged = verdict(mill, history, kb).assert_clean()
        row.add({**judged.figures, "lines_max": quiet.assert_kept()})


@pytest.mark.timeout(300 * ROUNDS)
@pytest.mark.parametrize("loss", list(Loss))
def test_an_append_whose_reply_is_lost_is_one_event(mill: Mill, history: History, proxy: TcpProxy, loss: Loss) -> None:
    kb = history.create(f"F-19 {loss.name}")
    every = LOST_EVERY[loss]
    with recorded("F-19", f"reply lost: {loss.name.lower()}", f"proxy loses one reply of {every} to scripts") as row:
        for turn in range(ROUNDS):
            lost = proxy.lost
            proxy.become(Weather(lose_every=every, loss=loss, of=SCRIPTS))
            submit_each(history, kb, texts(4, f"{loss.name} {turn}"))
            proxy.become()
            judged = verdict(mill, history, kb).assert_clean()
            row.add({**judged.figures, "replies_lost": proxy.lost - lost})
            assert proxy.lost > lost


@pytest.mark.parametrize("fault", ["cut", "half_close"])
def test_connections_that_end_are_made_anew(mill: Mill, history: History, proxy: TcpProxy, fault: str) -> None:
    kb = history.create(f"F-18 {fault}")
    with recorded("F-18", f"connections: {fault}", "proxy ends all of them, five times under load") as row:
        quiet, end_all = Quiet(mill), getattr(proxy, fault)
        with uploading(history, kb, fault) as settled:
            for _ in range(5):
                wait_for_uploads(settled, 3)
                end_all()
        judged = verdict(mill, history, kb).assert_clean()
        row.add({**judged.figures, "lines_max": quiet.assert_kept()})


def forbid_appends(server: Redis, _proxy: TcpProxy) -> None:
    server.acl_setuser("default", enabled=True, commands=["-xadd"])


def forbid_scripts(server: Redis, _proxy: TcpProxy) -> None:
    server.acl_setuser("default", enabled=True, commands=["-evalsha", "-xread", "-hget"])


def ask_for_a_password(server: Redis, proxy: TcpProxy) -> None:
    server.config_set("requirepass", "another")
    proxy.cut()


def take_no_more_clients(server: Redis, proxy: TcpProxy) -> None:
    server.config_set("maxclients", 1)
    proxy.cut()


def refuse(_server: Redis, proxy: TcpProxy) -> None:
    proxy.refuse()
    proxy.cut()


def allow_everything(server: Redis, proxy: TcpProxy) -> None:
    server.acl_setuser("default", enabled=True, commands=["+@all"])
    server.config_set("requirepass", "")
    server.config_set("maxclients", 10_000)
    proxy.admit()


@pytest.mark.parametrize("forbid", [forbid_appends, forbid_scripts, ask_for_a_password, take_no_more_clients, refuse])
def test_a_redis_that_lets_nobody_in_is_waited_for(
    mill: Mill, history: History, proxy: TcpProxy, server: Redis, forbid: Callable[[Redis, TcpProxy], None]
) -> None:
    what = forbid.__name__.replace("_", " ")
    kb = history.create(f"F-20 {what}")
    with recorded("F-20", what, "server told so, under load; then allowed again") as row:
        quiet, seen = Quiet(mill), len(history.calls)
        with uploading(history, kb, what, uploaders=2) as settled:
            wait_for_uploads(settled, 3)
            try:
                forbid(server, proxy)
                began_s = time.monotonic()
                wait_for_answer(history, 503, seen)
                poll(lambda: time.monotonic() > began_s + OUTAGE_S, "the outage has lasted", OUTAGE_S + 5)
            finally:
                allow_everything(server, proxy)
            reconnected_s = seconds_until_accepted(history, time.monotonic())
        judged = verdict(mill, history, kb).assert_clean()
        refused = assert_told_to_come_back(history.calls)
        lines = quiet.assert_kept()
        row.add({**judged.figures, "answers_503": refused, "reconnected_s": reconnected_s, "lines_max": lines})
        assert reconnected_s <= RECONNECTED_S_MAX
