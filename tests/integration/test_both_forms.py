"""A log that holds events in both forms, and who may start beside it."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from events.codec_by_place import TYPE_AT
from events.document import DocumentParsed, StepStarted
from events.envelope import Fact
from events.keys import Keys
from events.log import Appended, Conflict
from events.redis_border import execute
from events.redis_clients import Clients, make_clients
from events.redis_log import RedisLog
from events.redis_setup import open_installation
from events.steps import Step
from events.type_codes import TYPE_CODES
from millstream.errors import ExitCode, Stop
from millstream.settings import Settings
from millstream.stores import open_stores
from tests.event_samples import accepted, new_document, new_knowledge_base, new_task, write
from tests.servers.redis_process import RedisProcess

pytest_plugins = ("tests.servers.redis",)

KB, TASK = new_knowledge_base(), new_task()
ID_OF_A_STREAM = 0xC4
"""The head of bytes, where the other form has the number of a type."""


async def test_older_and_newer_writers_go_on_in_one_stream_and_know_what_the_other_one_has_written(
    redis_clients: Clients,
) -> None:
    keys, document = Keys(1), new_document()
    by_place = RedisLog(redis_clients.commands, redis_clients.blocking, keys)
    by_name = RedisLog(redis_clients.commands, redis_clients.blocking, keys, writes_by_name=True)
    facts: tuple[Fact, ...] = (
        accepted(TASK, KB),
        StepStarted(step=Step.PARSE, attempt=1, worker="w"),
        DocumentParsed(text_blob=f"documents/{document}/text@1", parser="p", pages=1, characters=1),
    )
    writes = [write(document, at, fact, knowledge_base=KB, task=TASK) for at, fact in enumerate(facts)]
    for at, one in enumerate(writes):
        writer, reader = (by_name, by_place) if at == 1 else (by_place, by_name)
        first, again = await writer.append([one]), await reader.append([one])
        assert isinstance(first, Appended)
        assert isinstance(again, Appended)
        assert (first.positions, again.is_repeat) == (again.positions, True)
        another = write(document, at, fact := facts[at], knowledge_base=KB, task=TASK)
        assert isinstance(await reader.append([another]), Conflict), fact
    entries = await execute(redis_clients.commands, "XRANGE", keys.log(0), "-", "+")
    codes = [fields[b"e"][TYPE_AT] for _, fields in entries]
    assert codes == [TYPE_CODES["DocumentAccepted"], ID_OF_A_STREAM, TYPE_CODES["DocumentParsed"]]
    assert [one.event for one in await by_name.history(document)] == list(facts)
    assert await by_place.history(document) == await by_name.history(document) == await by_place.read(0)


@pytest.mark.parametrize("form", ["by name", "appends nothing", "by place"])
async def test_the_format_is_raised_before_the_first_event_that_older_programs_cannot_read(
    own_redis: RedisProcess, tmp_path: Path, form: str
) -> None:
    settings = Settings(redis_url=own_redis.url, data_dir=str(tmp_path), events_by_name=form == "by name")
    async with open_stores(settings, appends=form != "appends nothing"):
        pass
    async with make_clients(own_redis.url) as clients:
        keys = await open_installation(clients.commands, partitions=None)
        stored = await execute(clients.commands, "HGET", keys.installation, "format")
    assert stored == (b"2" if form == "by place" else b"1")


async def test_a_redis_that_refuses_the_new_format_is_told_of_in_a_line(
    own_redis: RedisProcess, tmp_path: Path
) -> None:
    """The first start after an upgrade is what writes, where every other one only reads."""
    settings = Settings(redis_url=own_redis.url, data_dir=str(tmp_path), events_by_name=True)
    async with open_stores(settings):
        pass
    async with make_clients(own_redis.url) as clients:
        await execute(clients.commands, "CONFIG", "SET", "maxmemory", 1)
    with pytest.raises(Stop, match="memory is full") as stop:
        async with open_stores(replace(settings, events_by_name=False)):
            pass
    assert stop.value.exit_code is ExitCode.UNREACHABLE
