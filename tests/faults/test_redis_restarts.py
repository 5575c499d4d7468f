"""Redis dies, stands still, is full, or comes back without its last bytes: nothing accepted is lost."""

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import OutOfMemoryError

from tests.faults.checker import verdict
from tests.faults.documents import texts, wait_until_ended
from tests.faults.history import Call, History
from tests.faults.mill import PROJECTOR, Mill
from tests.faults.redis_load import (
    Quiet,
    append_only_file,
    assert_told_to_come_back,
    seconds_until_accepted,
    server_of,
    standing_still,
    uploading,
    wait_for_answer,
    wait_for_uploads,
)
from tests.faults.results import ROUNDS, recorded
from tests.servers.redis_process import RedisProcess, redis_binary

pytest_plugins = ("tests.servers.redis",)

KILLS = 3
RECONNECTED_S_MAX = 3.0
RECOVERED_S_MAX = 5.0
STOPPED_S = 9.0
NOTICED_S_MAX = 10.0
KEYS = 20
HEADROOM_BYTES = 1_048_576
BALLAST_BYTES = 65_536


@pytest.fixture
def server(mill: Mill) -> Iterator[Redis]:
    with server_of(mill) as client:
        yield client


@pytest.mark.timeout(300 * ROUNDS)
def test_redis_that_is_killed_and_started_again_loses_nothing(mill: Mill, history: History) -> None:
    kb = history.create("F-10")
    with recorded("F-10", "redis-server killed", f"kill -9 and start, {KILLS} times under load, always") as row:
        for _ in range(ROUNDS):
            with uploading(history, kb, f"killed {row.runs}") as settled:
                reconnected_s = [_kill_once(mill, history, settled) for _ in range(KILLS)]
            judged = verdict(mill, history, kb).assert_clean()
            refused = assert_told_to_come_back(history.calls)
            row.add({**judged.figures, "answers_503": refused, "reconnected_s": max(reconnected_s)})
            assert max(reconnected_s) <= RECONNECTED_S_MAX


def _kill_once(mill: Mill, history: History, settled: list[Call]) -> float:
    wait_for_uploads(settled)
    quiet, seen = Quiet(mill), len(history.calls)
    mill.redis.kill()
    wait_for_answer(history, 503, seen)
    mill.redis.start()
    ready_s = time.monotonic()
    seconds = seconds_until_accepted(history, ready_s)
    quiet.assert_kept()
    return seconds


def test_a_redis_that_stands_still_longer_than_any_timeout_gets_each_event_once(mill: Mill, history: History) -> None:
    kb = history.create("F-18 stopped")
    with recorded("F-18", "redis-server stands still", f"SIGSTOP for {STOPPED_S:g} s under load") as row:
        quiet = Quiet(mill)
        with uploading(history, kb, "stopped") as settled:
            wait_for_uploads(settled)
            with standing_still(mill.redis.pid, STOPPED_S):
                pass
            went_on_s = seconds_until_accepted(history, time.monotonic())
        judged = verdict(mill, history, kb).assert_clean()
        refused = assert_told_to_come_back(history.calls)
        row.add({**judged.figures, "answers_503": refused, "went_on_s": went_on_s, "lines_max": quiet.assert_kept()})
        assert went_on_s <= RECONNECTED_S_MAX


def test_a_full_redis_refuses_uploads_and_goes_on_once_there_is_room(
    mill: Mill, history: History, server: Redis
) -> None:
    kb = history.create("F-15")
    with recorded("F-15", "maxmemory reached", "maxmemory = used + 1 MB, noeviction, raised again") as row:
        quiet, used = Quiet(mill), int(server.info("memory")["used_memory"])
        try:
            with uploading(history, kb, "full") as settled:
                server.config_set("maxmemory", used + HEADROOM_BYTES)
                with suppress(OutOfMemoryError):
                    for _ in range(HEADROOM_BYTES // BALLAST_BYTES):
                        server.append("ballast", bytes(BALLAST_BYTES))
                wait_for_answer(history, 507, 0)
                refused_at = len(settled)
                wait_for_answer(history, 507, len(history.calls))
        finally:
            server.delete("ballast")
            server.config_set("maxmemory", 0)
        freed_s = time.monotonic()
        history.submit(kb, texts(1, "room"))
        accepted_s = seconds_until_accepted(history, freed_s)
        judged = verdict(mill, history, kb, within_s=RECOVERED_S_MAX).assert_clean()
        codes = {call.code for call in history.calls if call.status == 507}
        assert codes == {"storage_full"}
        full = sum(call.status == 507 for call in history.calls)
        row.add({**judged.figures, "answers_507": full, "accepted_s": accepted_s, "lines_max": quiet.assert_kept()})
        assert refused_at > 0
        assert time.monotonic() - freed_s <= RECOVERED_S_MAX + 2


def test_a_log_that_lost_its_end_is_told_of_and_what_was_accepted_is_done_again(mill: Mill, history: History) -> None:
    kb = history.create("F-13")
    with recorded("F-13", "tail of the append-only file cut", "kill -9, cut mid record behind DocumentAccepted") as row:
        wait_until_ended(history, kb, history.submit(kb, texts(3, "before")).document_ids)
        history.submit(kb, texts(1, "the-last"))
        verdict(mill, history, kb).assert_clean()
        mill.redis.kill()
        path = append_only_file(mill.redis.directory)
        content = path.read_bytes()
        # In the middle of what the document's first step led to: its acceptance stays.
        cut_at = content.index(b"bundle@", content.index(b"the-last-0.txt"))
        path.write_bytes(content[:cut_at])
        mill.redis.start()
        began_s = time.monotonic()
        mill.wait_for_line(PROJECTOR, "log_lost_its_end", NOTICED_S_MAX)
        noticed_s = time.monotonic() - began_s
        judged = verdict(mill, history, kb).assert_clean()
        row.add({**judged.figures, "bytes_cut": len(content) - cut_at, "noticed_s": noticed_s})


def test_a_redis_whose_file_is_damaged_in_the_middle_does_not_start(own_directory: RedisProcess) -> None:
    with recorded("F-13", "middle of the append-only file damaged", "one byte of a record's head flipped") as row:
        own_directory.start()
        with Redis.from_url(own_directory.url) as client:
            for number in range(KEYS):
                client.set(f"key {number}", number)
        own_directory.kill()
        path = append_only_file(own_directory.directory)
        whole = path.read_bytes()
        middle = whole.index(b"\r\n$3\r\nSET", len(whole) // 2) + 3
        path.write_bytes(whole[:middle] + b"\xb3" + whole[middle + 1 :])
        with pytest.raises(AssertionError, match="Bad file format"):
            own_directory.start()
        path.write_bytes(whole)
        own_directory.start()
        with Redis.from_url(own_directory.url) as client:
            assert client.dbsize() == KEYS
        row.add({"started_damaged": 0, "lost": 0})


@pytest.fixture
def own_directory(redis_directory: Path) -> Iterator[RedisProcess]:
    """A server that a test starts itself."""
    server = RedisProcess(redis_binary(), redis_directory)
    try:
        yield server
    finally:
        server.stop()
