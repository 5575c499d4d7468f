"""Calls to a cluster that go out together: each to the node that serves its slot, again where the slot has moved.

redis-py's cluster client knows the nodes and follows what a single call is told. What is here is what it lacks for
appends: commands packed once and sent as one write a node, ASKING on the connection of the call that needs it (sent
on another one it is worth nothing, and the call runs out of redirections while a slot moves), and WAIT on the
connection that wrote.
"""

import asyncio
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final

from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    RedisClusterException,
    RedisError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from events.keys import slot_of
from events.redis_wire import Command, ask, packed, paired

PAUSES_S: Final = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 2.0)
"""Before each repetition of what a node could not answer: 5 s, the time that a call to one server may take. A master
that dies is missed for longer (cluster-node-timeout, 15 s by default): the callers' own retries bridge that."""

ELSEWHERE: Final = (
    MovedError,
    AskError,
    TryAgainError,
    ClusterDownError,
    RedisClusterException,
    RedisConnectionError,
    RedisTimeoutError,
    OSError,
)
"""Answers for which the cluster is the reason, not the call."""


async def node_of(client: RedisCluster, key: str) -> ClusterNode:
    """The master that serves the key, as far as is known. Raises what redis-py raises."""
    return await node_of_slot(client, slot_of(key))


async def node_of_slot(client: RedisCluster, slot: int) -> ClusterNode:
    """As `node_of`."""
    await client.initialize()
    found: ClusterNode = client.nodes_manager.get_node_from_slot(slot)
    return found


async def exchange_on_cluster(
    client: RedisCluster, commands: Sequence[Command], tail: Command = ()
) -> tuple[list[Any], set[int]]:
    """As `redis_border.exchange`; where no node answered, the answer is redis-py's error. Also the places of commands
    that were sent again.

    Commands of one slot take effect in order: where one has to be asked elsewhere, all of them are sent again.
    """
    answers: list[Any] = [None] * len(commands)
    slots = [_slot(command) for command in commands]
    left = list(range(len(commands)))
    repeated: set[int] = set()
    for pause_s in PAUSES_S:
        await asyncio.sleep(pause_s)
        flights = await _flights(client, commands, slots, left, tail, answers)
        await asyncio.gather(*(_fly(flight, answers) for flight in flights))
        moved = {slots[place] for place in left if isinstance(answers[place], ELSEWHERE)}
        left = [place for place in left if slots[place] in moved]
        if not left:
            break
        repeated.update(left)
        await _learn(client, [answers[place] for place in left if isinstance(answers[place], ELSEWHERE)])
    return answers, repeated


async def _flights(
    client: RedisCluster,
    commands: Sequence[Command],
    slots: Sequence[int],
    left: Sequence[int],
    tail: Command,
    answers: list[Any],
) -> list["_Flight"]:
    """What each node is to be sent; a call whose slot nobody is known to serve has that as its answer."""
    flights: dict[str, _Flight] = {}
    for place in left:
        asked = answers[place]
        try:
            node = client.get_node(asked.host, asked.port) if type(asked) is AskError else None
            is_asked = node is not None
            node = node or await node_of_slot(client, slots[place])
        except (RedisClusterException, RedisError, OSError) as error:
            answers[place] = error
            continue
        flights.setdefault(node.name, _Flight(node, tail)).add(place, commands[place], is_asked=is_asked)
    return list(flights.values())


def _slot(command: Command) -> int:
    """By the first key of `EVALSHA digest count key …` and of every other command."""
    return slot_of(str(command[3 if command[0] == "EVALSHA" else 1]))


async def _fly(flight: "_Flight", answers: list[Any]) -> None:
    """Puts the answers, or why there is none, into their places."""
    try:
        found = await flight.exchange()
    except (RedisError, OSError) as error:
        found = [error] * len(flight.places)
    for place, answer in zip(flight.places, found, strict=True):
        answers[place] = answer


class _Flight:
    """What one node is sent at once."""

    def __init__(self, node: ClusterNode, tail: Command) -> None:
        self.node = node
        self.tail = tail
        self.places: list[int] = []
        self._commands: list[Command] = []
        self._is_asked: list[bool] = []

    def add(self, place: int, command: Command, *, is_asked: bool) -> None:
        self.places.append(place)
        self._commands.append(command)
        self._is_asked.append(is_asked)

    async def exchange(self) -> list[Any]:
        """Raises what redis-py raises where an answer does not come; what took effect is then unknown."""
        connection = self.node.acquire_connection()
        is_read = False
        try:
            await self.node.disconnect_if_needed(connection)
            count = len(self.places) + sum(self._is_asked) + bool(self.tail)
            found = await ask(connection, packed(self._sent()), count)
            is_read = True
        finally:
            if not is_read:
                await connection.disconnect()  # answers that nobody read would be taken for those of the next commands
            self.node.release(connection)
        answers = self._without_asking(found)
        return paired(answers[:-1], answers[-1]) if self.tail else answers

    def _sent(self) -> Iterator[Command]:
        for command, is_asked in zip(self._commands, self._is_asked, strict=True):
            if is_asked:
                yield ("ASKING",)
            yield command
        if self.tail:
            yield self.tail

    def _without_asking(self, found: Sequence[Any]) -> list[Any]:
        left = iter(found)
        answers = [next(islice(left, int(is_asked), None)) for is_asked in self._is_asked]
        return [*answers, *left]


async def _learn(client: RedisCluster, told: Sequence[Any]) -> None:
    """What the answers say of the nodes. A cluster that cannot be asked now is asked before the next repetition."""
    lost = False
    for one in told:
        match one:
            case MovedError():  # before what it is derived from in redis-py
                await client.nodes_manager.move_slot(one)
            case AskError() | TryAgainError():
                pass
            case _:
                lost = True
    if lost:
        try:
            await client.nodes_manager.initialize()
        except (RedisClusterException, RedisError, OSError):
            return
