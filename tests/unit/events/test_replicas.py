"""Which partitions take no events for want of a replica."""

import pytest

from events.replicas import Halted, Primary, halted


def primary(*, replicas: int, refuses_writes: bool = False, partitions: tuple[int, ...] = (0, 3)) -> Primary:
    return Primary(server="a:1", partitions=partitions, replicas=replicas, refuses_writes=refuses_writes)


@pytest.mark.parametrize(
    ("found", "needs_replica", "is_halted"),
    [
        (primary(replicas=0), True, True),
        (primary(replicas=0), False, False),
        (primary(replicas=1), True, False),
        (primary(replicas=0, refuses_writes=True), False, True),
        (primary(replicas=0, partitions=()), True, False),
    ],
)
def test_a_server_halts_where_events_need_a_replica_and_none_follows(
    found: Primary, needs_replica: bool, is_halted: bool
) -> None:
    told = halted([found], needs_replica=needs_replica)
    assert told == ((Halted(server="a:1", partitions=(0, 3)),) if is_halted else ())


def test_it_says_what_to_do() -> None:
    assert "partition 4:" in Halted(server="a:1", partitions=(4,)).told
    assert "Start its replica, or add one" in Halted(server="a:1", partitions=(4,)).told
