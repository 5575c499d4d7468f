"""Where keys are managed from the command line: at a server, or at the installation's own Redis."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar
from urllib.parse import quote

import msgspec
from msgspec.structs import replace

from millstream.admission.key_status import CreateKeyBody, KeyStatus, RotateKeyBody, ShownKey, key_status, shown_key
from millstream.admission.keys_direct import ACTOR, DirectBook, open_book
from millstream.client import Client
from millstream.settings import Settings
from projections.lists import Listing

T = TypeVar("T")


class KeyDesk(Protocol):
    """Raises Stop from every call."""

    def create(self, asked: CreateKeyBody) -> ShownKey: ...

    def all(self) -> tuple[KeyStatus, ...]: ...

    def find(self, key_id: str) -> KeyStatus: ...

    def revoke(self, key_id: str) -> KeyStatus: ...

    def rotate(self, key_id: str, *, overlap_s: int) -> ShownKey: ...


class RemoteDesk:
    """KeyDesk at a server, with the key of the environment."""

    def __init__(self, url: str) -> None:
        self._url = url

    def create(self, asked: CreateKeyBody) -> ShownKey:
        with Client(self._url) as client:
            bases = [client.knowledge_base(one).knowledge_base_id for one in asked.knowledge_bases or ()]
            body = replace(asked, knowledge_bases=list(map(str, bases)) or None)
            return client.http.post("/keys", ShownKey, json=msgspec.to_builtins(body))

    def all(self) -> tuple[KeyStatus, ...]:
        return self._call("GET", "", Listing[KeyStatus]).data

    def find(self, key_id: str) -> KeyStatus:
        return self._call("GET", f"/{quote(key_id, safe='')}", KeyStatus)

    def revoke(self, key_id: str) -> KeyStatus:
        return self._call("DELETE", f"/{quote(key_id, safe='')}", KeyStatus)

    def rotate(self, key_id: str, *, overlap_s: int) -> ShownKey:
        return self._call("POST", f"/{quote(key_id, safe='')}/rotate", ShownKey, RotateKeyBody(overlap_s=overlap_s))

    def _call(self, method: str, path: str, kind: type[T], body: object = None) -> T:
        with Client(self._url) as client:
            options = {} if body is None else {"json": msgspec.to_builtins(body)}
            return msgspec.json.decode(client.http.send(method, f"/keys{path}", **options).content, type=kind)


class DirectDesk:
    """KeyDesk at the Redis of the settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def create(self, asked: CreateKeyBody) -> ShownKey:
        async def use(direct: DirectBook) -> ShownKey:
            bound = direct.bound_to(asked.knowledge_bases or ())
            wanted = replace(replace(asked, knowledge_bases=None).asked(), knowledge_bases=bound or None)
            return shown_key(await direct.book.create(wanted, ACTOR))

        return self._run(use)

    def all(self) -> tuple[KeyStatus, ...]:
        async def use(direct: DirectBook) -> tuple[KeyStatus, ...]:
            used = await direct.book.used()
            return tuple(key_status(record, used.get(record.id)) for record in await direct.book.all())

        return self._run(use)

    def find(self, key_id: str) -> KeyStatus:
        async def use(direct: DirectBook) -> KeyStatus:
            return key_status(await direct.book.find(key_id), (await direct.book.used()).get(key_id))

        return self._run(use)

    def revoke(self, key_id: str) -> KeyStatus:
        async def use(direct: DirectBook) -> KeyStatus:
            return key_status(await direct.book.revoke(key_id, ACTOR))

        return self._run(use)

    def rotate(self, key_id: str, *, overlap_s: int) -> ShownKey:
        async def use(direct: DirectBook) -> ShownKey:
            return shown_key(await direct.book.rotate(key_id, ACTOR, overlap_s=overlap_s))

        return self._run(use)

    def _run(self, use: Callable[[DirectBook], Awaitable[T]]) -> T:
        async def run() -> T:
            async with open_book(self._settings) as direct:
                return await use(direct)

        return asyncio.run(run())
