"""All keys of a partition share a slot, and partitions spread evenly over the slots of a Cluster."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.errors import InvalidId
from events.keys import SLOTS, Keys, slot_of, tags
from events.steps import Lane, Step
from tests.event_samples import new_document, new_task


@pytest.mark.parametrize(
    ("key", "slot"),
    [("123456789", 0x31C3), ("foo{}{bar}", 8363), ("{user1000}.following", 3443), ("foo{{bar}}zap", 4015)],
)
def test_slots_are_those_of_the_cluster_specification(key: str, slot: int) -> None:
    assert slot_of(key) == slot


@given(st.integers(1, 256))
def test_every_partition_has_a_slice_of_the_slots_of_its_own(partitions: int) -> None:
    slots = [slot_of(f"{{{tag}}}") for tag in tags(partitions)]
    assert slots == sorted(slots)
    for partition, slot in enumerate(slots):
        assert partition * SLOTS // partitions <= slot < (partition + 1) * SLOTS // partitions


@pytest.mark.parametrize("nodes", [2, 3, 4, 6])
def test_twelve_partitions_lie_evenly_on_nodes(nodes: int) -> None:
    slots = [slot_of(f"{{{tag}}}") for tag in tags(12)]
    counts = [sum(slot * nodes // SLOTS == node for slot in slots) for node in range(nodes)]
    assert counts == [12 // nodes] * nodes


def test_all_keys_of_a_partition_share_one_slot_and_none_is_another() -> None:
    keys, document, task = Keys(8), new_document(5), new_task(5)
    names = [
        *(keys.log(5), keys.meta(5), keys.due(5), keys.dead(5), keys.changes(5), keys.segments(5)),
        *(keys.stream(document), keys.history(document), keys.tally(task), keys.view(5, 1, "documents")),
        keys.checkpoint(5, 1),
        *(keys.inbox(5, step, lane) for step in Step for lane in Lane),
    ]
    assert len({slot_of(name) for name in names}) == 1
    assert len({*names, keys.installation, keys.consumers}) == len(names) + 2


def test_a_namespace_keeps_installations_apart() -> None:
    assert Keys(8, "one").log(0) != Keys(8, "two").log(0)
    assert slot_of(Keys(8, "one").log(3)) == slot_of(Keys(8, "two").log(3))


def test_an_id_of_a_partition_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InvalidId):
        Keys(4).stream(new_document(4))
    for partitions in (0, 257, -1):
        with pytest.raises(InvalidId):
            Keys(partitions)
