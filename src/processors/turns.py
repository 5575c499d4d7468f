"""Pure: whose delivery is next.

Interactive work goes before bulk work, partitions take turns in going first, every eighth sweep asks bulk first so
that it never starves, and among what was taken knowledge bases take turns.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final

from events.ids import KnowledgeBaseId
from events.inbox import Delivery, InboxKey
from events.steps import Lane, Step

BULK_FIRST_EVERY: Final = 8
"""Every eighth sweep: bulk gets at least 12 % of the takes while interactive work never ends."""


def inboxes_in_turn(step: Step, partitions: int, sweep: int) -> list[InboxKey]:
    """Every inbox of the step once, in the order in which sweep number `sweep` (from 0) asks them."""
    first = sweep % partitions
    rotated = [*range(first, partitions), *range(first)]
    lanes = (Lane.INTERACTIVE, Lane.BULK)
    if sweep % BULK_FIRST_EVERY == BULK_FIRST_EVERY - 1:
        lanes = (Lane.BULK, Lane.INTERACTIVE)
    return [InboxKey(partition, step, lane) for lane in lanes for partition in rotated]


def fair_turns(deliveries: Sequence[Delivery]) -> list[Delivery]:
    """The same deliveries, one of each knowledge base at a time; within a knowledge base and lane in order.

    The lane that came first stays first as a whole.
    """
    lanes = dict.fromkeys(delivery.lane for delivery in deliveries)
    return [turn for lane in lanes for turn in _round_robin([one for one in deliveries if one.lane is lane])]


def _round_robin(deliveries: Sequence[Delivery]) -> list[Delivery]:
    queues: dict[KnowledgeBaseId, deque[Delivery]] = {}
    for delivery in deliveries:
        queues.setdefault(delivery.knowledge_base_id, deque()).append(delivery)
    waiting = deque(queues.values())
    ordered: list[Delivery] = []
    while waiting:
        queue = waiting.popleft()
        ordered.append(queue.popleft())
        if queue:
            waiting.append(queue)
    return ordered
