"""What every register of table versions does, whatever it stands on."""

import asyncio

from knowledge.lance_versions import Entry, VersionRegister

FIRST, SECOND = Entry(2, "kb.1.lance/_versions/2.manifest-a"), Entry(3, "kb.1.lance/_versions/3.manifest-b")


class VersionRegisterContract:
    """Subclasses provide the fixture `register`."""

    async def test_a_table_that_nobody_entered_is_unknown(self, register: VersionRegister) -> None:
        assert await register.newest("kb.1") is None

    async def test_what_was_seen_is_replaced_and_nothing_else(self, register: VersionRegister) -> None:
        assert await register.replace("kb.1", None, FIRST)
        assert not await register.replace("kb.1", None, SECOND)
        assert not await register.replace("kb.1", Entry(2), SECOND)
        assert await register.newest("kb.1") == FIRST
        assert await register.replace("kb.1", FIRST, Entry(2))
        assert await register.replace("kb.1", Entry(2), SECOND)
        assert await register.newest("kb.1") == SECOND

    async def test_of_many_that_come_at_once_one_enters(self, register: VersionRegister) -> None:
        entries = [Entry(1, f"kb.1.lance/_versions/1.manifest-{racer}") for racer in range(9)]
        entered = await asyncio.gather(*(register.replace("kb.1", None, entry) for entry in entries))
        assert entered.count(True) == 1
        assert await register.newest("kb.1") == entries[entered.index(True)]

    async def test_tables_are_apart_and_a_forgotten_one_begins_again(self, register: VersionRegister) -> None:
        assert await register.replace("kb.1", None, FIRST)
        assert await register.replace("kb.2", None, SECOND)
        assert not await register.replace("kb.1", SECOND, None)
        assert await register.replace("kb.1", FIRST, None)
        assert (await register.newest("kb.1"), await register.newest("kb.2")) == (None, SECOND)
        assert await register.replace("kb.1", None, Entry(1))
