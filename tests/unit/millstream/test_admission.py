"""What stands at the door, decided without a server: failures, backlog, places, rates, the door itself."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from limits.aio.storage import MemoryStorage

from blobs.memory import MemoryBlobStore
from domain.access import Principal, Scope
from domain.api_keys import KeyLimits, NewKey, PresentedKey, new_key, parse_key, revoked
from events.errors import LogUnavailable
from events.memory import MemoryLog
from events.memory_inbox import MemoryInbox
from ingest.problems import ProblemCode, Rejected
from millstream.admission.admit import Admission, Asker
from millstream.admission.backlog import RETRY_S_MAX, RETRY_S_UNKNOWN, Backlog, Sample, retry_after_s
from millstream.admission.bounds import Bounds
from millstream.admission.door import Auth, how_it_stands, is_open, refuse_open, standing
from millstream.admission.failures import ADDRESSES_MAX, FailureBudget
from millstream.admission.intake import Intake
from millstream.admission.key_copy import agree, put_copy
from millstream.admission.key_ring import KeyRing
from millstream.admission.key_store import KeysSeen
from millstream.admission.memory_key_store import MemoryKeyStore
from millstream.admission.pacing import Pacer, a_minute_of
from millstream.admission.route_access import READ, SEARCH, WRITE, Access, Pace
from millstream.errors import Stop


class HandClock:
    def __init__(self) -> None:
        self.s = 1_000.0

    def __call__(self) -> float:
        return self.s


def test_an_address_may_fail_so_often_a_minute_and_then_waits() -> None:
    clock = HandClock()
    budget = FailureBudget(3, clock)

    assert [budget.failed("a") for _ in range(3)] == [None, None, None]
    clock.s += 20
    assert budget.failed("a") == 40
    assert budget.failed("b") is None
    clock.s += 41
    assert budget.failed("a") is None


def test_without_a_limit_an_address_may_fail_for_ever() -> None:
    budget = FailureBudget(0, HandClock())
    assert {budget.failed("a") for _ in range(100)} == {None}


def test_no_more_addresses_are_remembered_than_there_is_room_for() -> None:
    budget = FailureBudget(1, HandClock())
    for number in range(ADDRESSES_MAX + 10):
        budget.failed(str(number))
    assert budget.failed("0") is None
    assert budget.failed(str(ADDRESSES_MAX + 9)) is not None


@pytest.mark.parametrize(
    ("samples", "seconds"),
    [
        ([], RETRY_S_UNKNOWN),
        ([Sample(0, 150)], RETRY_S_UNKNOWN),
        ([Sample(0, 150), Sample(1, 160)], RETRY_S_UNKNOWN),
        ([Sample(0, 200), Sample(10, 150)], 10),
        ([Sample(0, 100), Sample(5, 200), Sample(10, 175)], 15),
        ([Sample(0, 1_000_000), Sample(60, 999_999)], RETRY_S_MAX),
        ([Sample(0, 10_000), Sample(1, 101)], 1),
    ],
)
def test_how_long_to_stay_away_follows_from_how_fast_the_backlog_shrinks(samples: list[Sample], seconds: int) -> None:
    assert retry_after_s(samples, 100) == seconds


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 10**9)), max_size=20), st.integers(1, 10**6))
def test_whoever_is_refused_is_told_a_time_that_makes_sense(course: list[tuple[int, int]], waiting_max: int) -> None:
    samples = [Sample(float(at), waiting) for at, waiting in sorted(course)]
    assert 1 <= retry_after_s(samples, waiting_max) <= RETRY_S_MAX


async def test_without_a_limit_or_a_look_nothing_is_refused() -> None:
    inbox = MemoryInbox(MemoryLog(partitions=1, clock_us=lambda: 0))
    for waiting_max in (0, 5):
        Backlog(inbox, waiting_max=waiting_max, clock_s=HandClock()).check()


def test_places_are_given_back_and_counted_by_key_and_in_all() -> None:
    intake = Intake(lambda: None, in_flight_max=3, in_flight_per_key_max=2)
    with intake.place("a"), intake.place("a"):
        assert refusal_of(lambda: intake.place("a").__enter__()) is ProblemCode.RATE_LIMITED
        with intake.place("b"):
            assert refusal_of(lambda: intake.place("c").__enter__()) is ProblemCode.OVERLOADED
    with intake.place("a"):
        pass


def refusal_of(ask: Callable[[], object]) -> ProblemCode:
    with pytest.raises(Rejected) as refused:
        ask()
    assert refused.value.retry_after_s is not None
    return refused.value.code


async def test_calls_are_counted_by_key_and_kind_and_the_headers_say_what_is_left() -> None:
    pacer = Pacer(MemoryStorage())

    first, second, third = [await pacer.take("a", Pace.READ, 2) for _ in range(3)]
    other = await pacer.take("a", Pace.WRITE, 2)
    elses = await pacer.take("b", Pace.READ, 2)

    assert [one.is_admitted for one in (first, second, third, other, elses)] == [True, True, False, True, True]
    assert [one.remaining for one in (first, second, third)] == [1, 0, 0]
    assert first.headers()["RateLimit-Policy"] == '"read";q=2;w=60'
    assert first.headers()["RateLimit"].startswith('"read";r=1;t=')
    assert 1 <= third.reset_s <= 120


async def test_counters_that_do_not_answer_are_unavailable() -> None:
    with pytest.raises(LogUnavailable):
        await Pacer(AwayStorage()).take("a", Pace.READ, 2)


def test_a_key_has_its_own_rates_where_it_was_given_any() -> None:
    as_set = {Pace.READ: 1, Pace.SEARCH: 2, Pace.WRITE: 3}
    limits = KeyLimits(reads_per_minute=0, writes_per_minute=9)

    assert [a_minute_of(pace, limits, as_set) for pace in Pace] == [0, 2, 9]


@pytest.mark.parametrize(
    ("auth", "version", "expected"),
    [
        ("auto", 0, True),
        ("auto", 1, False),
        ("keys", 0, False),
        ("keys", 5, False),
        ("open", 0, True),
        ("open", 5, True),
    ],
)
def test_whether_keys_are_needed(auth: Auth, version: int, expected: bool) -> None:
    assert is_open(auth, version) is expected
    assert how_it_stands(auth, version, 1).startswith("open") is expected


@pytest.mark.parametrize(
    ("auth", "version", "valid_keys", "code", "words"),
    [
        ("open", 5, 1, "open_by_setting", "open: keys are switched off"),
        ("auto", 0, 0, "open_until_first_key", "open: no key was ever made"),
        ("auto", 5, 2, "keys", "keys are needed; 2 keys valid"),
        ("auto", 5, 0, "no_valid_key", "keys are needed, and none is valid"),
        ("keys", 0, 0, "no_valid_key", "keys are needed, and none is valid"),
    ],
)
def test_the_door_is_told_of_by_a_code_and_in_words(
    auth: Auth, version: int, valid_keys: int, code: str, words: str
) -> None:
    assert standing(auth, version, valid_keys) == code
    assert how_it_stands(auth, version, valid_keys).startswith(words)


@pytest.mark.parametrize(
    ("host", "auth", "version", "beyond", "is_refused"),
    [
        ("127.0.0.1", "auto", 0, False, False),
        ("127.0.0.1", "open", 0, False, False),
        ("0.0.0.0", "auto", 0, False, True),  # noqa: S104  refused, not bound
        ("0.0.0.0", "auto", 0, True, False),  # noqa: S104  refused, not bound
        ("0.0.0.0", "auto", 1, False, False),  # noqa: S104  refused, not bound
        ("0.0.0.0", "open", 1, False, True),  # noqa: S104  refused, not bound
        ("0.0.0.0", "keys", 0, False, False),  # noqa: S104  refused, not bound
    ],
)
def test_beyond_loopback_nobody_gets_in_without_a_key(
    host: str, auth: Auth, version: int, beyond: bool, is_refused: bool
) -> None:
    if not is_refused:
        refuse_open(host, auth, version, open_beyond_loopback=beyond)
        return
    with pytest.raises(Stop) as stop:
        refuse_open(host, auth, version, open_beyond_loopback=beyond)
    assert "millstream keys create" in stop.value.hint


class Silent(MemoryKeyStore):
    """Can be made to answer nothing."""

    is_silent = False

    async def version(self) -> int:
        if self.is_silent:
            raise LogUnavailable("away")
        return await super().version()


async def ring_with_key(clock: HandClock) -> tuple[Silent, KeyRing, PresentedKey]:
    store = Silent()
    asked = NewKey(name="a", scopes=(Scope.READ,), expires_at_us=int(clock.s * 1e6) + 100_000_000)
    record, text = new_key(asked, key_id="0" * 16, secret=bytes(32), now_us=int(clock.s * 1e6), created_by="tests")
    await store.put(record, before=None)
    ring = KeyRing(
        store,
        is_open=lambda version: version == 0,
        stale_s_max=300,
        clock_us=lambda: int(clock.s * 1e6),
        clock_s=clock,
    )
    await ring.look()
    presented = parse_key(text)
    assert presented is not None
    return store, ring, presented


async def test_a_visit_ends_when_its_key_is_revoked_or_expires() -> None:
    clock = HandClock()
    store, ring, presented = await ring_with_key(clock)
    assert ring.find(presented) is not None
    with ring.visit(presented) as visit:
        await ring.look()
        assert not visit.ended.is_set()
        (record,) = (await store.read()).records
        await store.put(revoked(record, 1), before=record)
        await ring.look()
        assert visit.ended.is_set()
    assert ring.find(presented) is None


async def test_a_visit_ends_when_its_key_expires_although_nothing_changed() -> None:
    clock = HandClock()
    _, ring, presented = await ring_with_key(clock)
    with ring.visit(presented) as visit:
        clock.s += 101
        await ring.look()
        assert visit.ended.is_set()


async def test_a_visit_without_a_key_ends_with_the_first_key() -> None:
    store = MemoryKeyStore()
    ring = KeyRing(store, is_open=lambda v: v == 0, stale_s_max=300, clock_us=lambda: 0, clock_s=HandClock())
    await ring.look()
    with ring.visit(None) as visit:
        await ring.look()
        open_before, ended_before = ring.is_open, visit.ended.is_set()
        await store.take_over(KeysSeen(1, ()))
        await ring.look()
        assert (open_before, ended_before, ring.is_open, visit.ended.is_set()) == (True, False, False, True)


async def test_where_the_store_is_silent_what_is_known_stays_and_the_silence_is_told() -> None:
    clock = HandClock()
    store, ring, presented = await ring_with_key(clock)
    store.is_silent = True
    clock.s += 30
    stop = asyncio.Event()
    following = asyncio.create_task(ring.follow(stop))
    await asyncio.sleep(0)
    stop.set()
    await following

    assert ring.silence_s == 30
    assert ring.find(presented) is not None
    with ring.visit(presented) as visit:
        clock.s += 300
        ring.end_visits()
        assert visit.ended.is_set(), "after five minutes nobody can tell whether it still holds"


async def test_a_store_that_lost_its_keys_opens_nothing_and_gets_them_back_from_the_copy() -> None:
    clock, blobs, store = HandClock(), MemoryBlobStore(), MemoryKeyStore()
    record, _ = new_key(
        NewKey(name="a", scopes=(Scope.READ,)), key_id="0" * 16, secret=bytes(32), now_us=1, created_by="tests"
    )
    await store.put(record, before=None)
    lost = Lost(store)
    ring = KeyRing(
        lost,
        is_open=lambda version: version == 0,
        stale_s_max=300,
        clock_us=lambda: 2,
        clock_s=clock,
        put_back=lambda: agree(lost, blobs),
    )
    await ring.look()

    lost.inner = MemoryKeyStore()
    with pytest.raises(LogUnavailable, match="keys are known as of version 1, the store has 0"):
        await ring.look()
    assert not ring.is_open

    await put_copy(store, blobs)
    await ring.look()
    assert not ring.is_open
    assert (await lost.read()).records == (record,)


class Lost:
    """A store behind which another one may be put."""

    def __init__(self, inner: MemoryKeyStore) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def admission_with(ring: KeyRing, pacer: Pacer) -> Admission:
    return Admission(
        ring,
        Bounds({}),
        FailureBudget(0, HandClock()),
        pacer,
        Intake(lambda: None, in_flight_max=0, in_flight_per_key_max=0),
        a_minute=dict.fromkeys(Pace, 0),
        open_a_minute=0,
    )


@pytest.mark.parametrize(
    ("silence_s", "needed", "is_allowed"),
    [
        (0, WRITE, True),
        (2, WRITE, True),
        (4, WRITE, False),
        (4, READ, True),
        (4, SEARCH, True),
        (299, READ, True),
        (301, READ, False),
    ],
)
async def test_where_redis_is_silent_reading_goes_on_for_a_while_and_writing_stops(
    silence_s: float, needed: Access, is_allowed: bool
) -> None:
    clock = HandClock()
    _, ring, presented = await ring_with_key(clock)
    admission = admission_with(ring, Pacer(MemoryStorage()))
    writer = Principal(actor="a", scopes=frozenset(Scope))
    clock.s += silence_s

    asked = admission.check({}, Asker(writer, presented, KeyLimits(), "a"), needed)

    if is_allowed:
        assert await asked is None
        return
    with pytest.raises(Rejected) as refused:
        await asked
    assert refused.value.code is ProblemCode.DEPENDENCY_UNAVAILABLE


class AwayStorage(MemoryStorage):
    """Counters that nobody reaches."""

    async def acquire_sliding_window_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        raise TimeoutError


async def test_without_counters_reading_goes_on_and_writing_does_not() -> None:
    _, ring, presented = await ring_with_key(HandClock())
    admission = admission_with(ring, Pacer(AwayStorage()))
    limits = KeyLimits(reads_per_minute=1, writes_per_minute=1)
    asker = Asker(Principal(actor="a", scopes=frozenset(Scope)), presented, limits, "a")

    assert await admission.check({}, asker, READ) is None
    with pytest.raises(Rejected) as refused:
        await admission.check({}, asker, WRITE)
    assert refused.value.code is ProblemCode.DEPENDENCY_UNAVAILABLE
