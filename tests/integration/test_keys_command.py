"""`millstream keys`: the first key on Redis, all others at the server; what a Redis from a backup may not undo."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from blobs.local import LocalBlobStore
from domain.api_keys import parse_key
from events.keys import Keys
from events.redis_clients import Clients
from millstream.admission.key_copy import KEYS_BLOB, agree
from millstream.admission.redis_key_store import RedisKeyStore
from millstream.cli import root
from millstream.errors import Stop
from tests.integration.keyed_app import KeyedApp, id_of, keyed_apps
from tests.servers.redis_process import RedisProcess
from tests.waiting import wait_for

pytest_plugins = ("tests.servers.redis",)


class Machine:
    """A command line whose settings are those of a running service."""

    def __init__(self, app: KeyedApp, redis_url: str, data_dir: Path) -> None:
        self.app = app
        self.blobs = LocalBlobStore(data_dir / "blobs")
        self._variables = {
            "MILLSTREAM_URL": f"http://127.0.0.1:{app.port}",
            "MILLSTREAM_REDIS_URL": redis_url,
            "MILLSTREAM_DATA_DIR": str(data_dir),
        }

    async def run(self, *arguments: str, key: str | None = None) -> Result:
        variables = {**self._variables, "MILLSTREAM_API_KEY": key}
        return await asyncio.to_thread(CliRunner().invoke, root, arguments, env=variables)


@pytest.fixture
async def machine(redis_server: RedisProcess, redis_clients: Clients, tmp_path: Path) -> AsyncIterator[Machine]:
    del redis_clients  # it empties the server
    async with keyed_apps(redis_server.url, tmp_path) as (app,):
        yield Machine(app, redis_server.url, tmp_path)


async def test_from_the_first_key_to_its_end(machine: Machine, tmp_path: Path, redis_clients: Clients) -> None:
    first = await machine.run("keys", "create", "--name", "ops", "--scope", "admin")
    admin = first.stdout.strip()
    assert parse_key(admin) is not None, "the key alone is on stdout"
    await wait_for(lambda: opens(machine, admin), "the server knows of it", within_s=2)

    made = await machine.run("keys", "create", "--name", "reader", "--scope", "read", "--json", key=admin)
    reader = json.loads(made.stdout)["api_key"]
    assert await opens(machine, reader)
    (tmp_path / "key").write_text(f"{reader}\n")
    shown = await machine.run("tasks", "--key-file", str(tmp_path / "key"))
    assert (shown.exit_code, shown.stdout) == (0, "no tasks yet\n")

    turned = await machine.run("keys", "rotate", id_of(reader), "--overlap", "0s", key=admin)
    assert await opens(machine, turned.stdout.strip())
    assert not await opens(machine, reader)

    ended = await machine.run("keys", "revoke", id_of(reader), "--json")
    assert json.loads(ended.stdout)["revoked_at"] is not None
    listed = await machine.run("keys", "list", key=admin)
    assert [line.split()[1] for line in listed.stdout.splitlines()] == ["revoked", "valid"]
    for secret in (admin, reader, turned.stdout.strip()):
        assert secret.split("_")[2] not in listed.stdout + first.stderr + (await machine.blobs.get(KEYS_BLOB)).decode()

    # A Redis that is put back from before the keys were made does not open the service, nor the revoked key.
    store = RedisKeyStore(redis_clients.commands, Keys(2))
    before = await store.read()
    await redis_clients.commands.delete(Keys(2).api_keys)
    await agree(store, machine.blobs)
    assert await store.read() == before


async def test_a_key_that_was_mistyped_is_noticed_before_anything_is_sent(machine: Machine) -> None:
    key = (await machine.run("keys", "create", "--name", "ops", "--scope", "admin")).stdout.strip()

    refused = await machine.run("tasks", key=key[:-1])

    assert isinstance(refused.exception, Stop)
    assert "API key" in refused.exception.what
    assert key[:-1] not in str(refused.exception) + refused.output


async def test_what_the_server_refuses_is_told(machine: Machine) -> None:
    admin = (await machine.run("keys", "create", "--name", "ops", "--scope", "admin")).stdout.strip()
    await wait_for(lambda: opens(machine, admin), "the server knows of it", within_s=2)
    reader = (await machine.run("keys", "create", "--name", "r", "--scope", "read", key=admin)).stdout.strip()

    refused = await machine.run("keys", "list", key=reader)

    assert isinstance(refused.exception, Stop)
    assert "scope admin" in refused.exception.what


async def opens(machine: Machine, key: str) -> bool:
    return (await machine.app.call("GET", "/knowledge-bases", key)).status_code == 200
