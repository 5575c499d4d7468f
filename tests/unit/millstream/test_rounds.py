import asyncio

from millstream.connection.rounds import Rounds


class Looked:
    def __init__(self, *, fails: bool = False) -> None:
        self.looks = 0
        self.seen = asyncio.Event()
        self._fails = fails

    def look_at_the_clock(self) -> None:
        self.looks += 1
        self.seen.set()
        if self._fails:
            raise RuntimeError("gone")


async def test_every_connection_is_looked_at_until_it_leaves() -> None:
    loop, rounds = asyncio.get_running_loop(), Rounds(0.001)
    told = list[object]()
    loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
    bad, one, other = Looked(fails=True), Looked(), Looked()
    for connection in (bad, one, other):
        rounds.enter(connection, loop)
    async with asyncio.timeout(20):
        for _ in range(3):
            one.seen.clear()
            await one.seen.wait()
    assert other.looks >= 2
    assert bad.looks >= 2
    assert told
    rounds.leave(other)
    looks = other.looks
    one.seen.clear()
    async with asyncio.timeout(20):
        await one.seen.wait()
    assert other.looks == looks
    for connection in (bad, one, one):
        rounds.leave(connection)
    assert rounds._timer is None, "nothing runs for nobody"
    rounds.enter(other, loop)
    other.seen.clear()
    async with asyncio.timeout(20):
        await other.seen.wait()
    rounds.leave(other)
