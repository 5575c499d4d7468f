import os
from concurrent.futures import ThreadPoolExecutor

from millstream.randomness import AT_ONCE, POOLED_BYTES, pooled_bytes


def test_no_bytes_are_handed_out_twice_whichever_thread_asks() -> None:
    def some(_thread: int) -> list[bytes]:
        return [pooled_bytes(POOLED_BYTES) for _ in range(5 * AT_ONCE)]

    with ThreadPoolExecutor(4) as threads:
        handed_out = [one for part in threads.map(some, range(4)) for one in part]
    assert {len(one) for one in handed_out} == {POOLED_BYTES}
    assert len(set(handed_out)) == len(handed_out) == 20 * AT_ONCE


def test_a_process_and_its_fork_hand_out_different_bytes() -> None:
    pooled_bytes(POOLED_BYTES)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, b"".join(pooled_bytes(POOLED_BYTES) for _ in range(AT_ONCE)))
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reading, POOLED_BYTES * AT_ONCE)
    os.close(reading)
    os.close(writing)
    ours = {pooled_bytes(POOLED_BYTES) for _ in range(AT_ONCE)}
    assert ours.isdisjoint({theirs[at : at + POOLED_BYTES] for at in range(0, len(theirs), POOLED_BYTES)})


def test_any_other_number_of_bytes_is_what_was_asked_for() -> None:
    assert [len(pooled_bytes(count)) for count in (0, 1, 16, 32)] == [0, 1, 16, 32]
