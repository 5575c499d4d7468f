"""Who comes first with a version of a table, where the S3 server itself does not tell: a register decides.

A commit of Lance writes the next version's manifest under a name of its own (staged), and counts once the manifest
lies under the version's name. A server that ignores `If-None-Match` lets two writers put there, and the rows of the
first are gone. So a staged manifest is entered in a register first, by comparison with what was entered last; what is
entered is the version for ever, and whoever meets it copies it to its place. All copy the same bytes, however late they
come: a writer that dies or sleeps between entering and copying harms nobody, and one that sleeps before it entered is
refused. Lance calls this from threads of its own, as a catalogue of tables that manages their versions.
"""

import asyncio
import uuid
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar

import msgspec

from knowledge.errors import IndexUnavailable

VERSION_MAX: Final = 2**64 - 1
"""Names count down from it, so that the newest version is listed first (Lance's naming scheme V2)."""

CALL_S_MAX: Final = 60.0
MANIFEST: Final = ".manifest"
SCHEME: Final = "V2"

_T = TypeVar("_T")


class Entry(msgspec.Struct, frozen=True):
    """A version of a table; `staged` names its manifest as long as nobody has seen it at its place."""

    version: int
    staged: str = ""


class VersionRegister(Protocol):
    """The newest version of each table, shared by every process. What a table's register forgot is read from the
    bucket: an entry whose writer was told so lies there."""

    async def newest(self, table: str) -> Entry | None:
        """What was entered last; None where nothing is known of the table."""

    async def replace(self, table: str, seen: Entry | None, entry: Entry | None) -> bool:
        """Puts `entry` in the place of what was seen, False where that is no longer there; None stands for nothing."""


class MemoryVersionRegister:
    """A `VersionRegister` of one process."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    async def newest(self, table: str) -> Entry | None:
        return self._entries.get(table)

    async def replace(self, table: str, seen: Entry | None, entry: Entry | None) -> bool:
        if self._entries.get(table) != seen:
            return False
        if entry is None:
            self._entries.pop(table, None)
        else:
            self._entries[table] = entry
        return True


class ServerRegister:
    """In place of a register where the server compares: there `Manifests.write` refuses what is there."""

    async def newest(self, _table: str) -> Entry | None:
        return None

    async def replace(self, _table: str, _seen: Entry | None, _entry: Entry | None) -> bool:
        return True


class Manifests(Protocol):
    """The objects of the index's bucket, by their names below the index's prefix."""

    async def read(self, name: str) -> bytes | None:
        """None where there is none."""

    async def write(self, name: str, content: bytes) -> None:
        """Puts or replaces one; where the server compares it raises VersionTaken instead of replacing."""

    async def delete(self, name: str) -> None:
        """Takes one away, if it is there."""

    async def is_there(self, name: str) -> bool:
        """Whether there is one."""

    async def names(self, beginning: str) -> Sequence[str]:
        """Those that begin so, in order."""


class VersionTaken(Exception):
    """Another manifest is this version, or will be: Lance looks what it holds and goes on behind it."""


class NoSuchVersion(Exception):
    """The table has no such version (any more)."""


class TableVersions:
    """The versions of the tables of one index: what is entered, and what lies in the bucket."""

    def __init__(self, register: VersionRegister, manifests: Manifests) -> None:
        self._register = register
        self._manifests = manifests

    async def newest(self, table: str) -> int | None:
        """The newest version, at its place; None where the table has none."""
        entry = await self._register.newest(table)
        if entry is None:
            return await self._listed(table)
        await self._finish(table, entry)
        return entry.version

    async def enter(self, table: str, version: int, staged: str) -> None:
        """Makes a staged manifest the version that follows the newest. Raises VersionTaken."""
        entry, seen = Entry(version, staged), await self._register.newest(table)
        if seen != entry:
            seen = None if seen is None else await self._finish(table, seen)
            known = await self._listed(table) if seen is None else seen.version
            if version != (known or 0) + 1:
                raise VersionTaken(f"version {version} of {table} does not follow {known}")
            if await self._manifests.is_there(path_of(table, version)):
                # The register has lost its end: what it forgot lies in the bucket.
                await self.look_again(table)
                raise VersionTaken(f"version {version} of {table} is there")
            if not await self._register.replace(table, seen, entry):
                raise VersionTaken(f"another writer entered version {version} of {table}")
        await self._finish(table, entry)

    async def begin(self, table: str, manifest: bytes, files: Mapping[str, bytes]) -> None:
        """Makes a table of its first manifest and what that names; one that is there, from whomever, stays as it is."""
        for name, content in files.items():
            await self._manifests.write(name, content)
        staged = f"{path_of(table, 1)}-{uuid.uuid4()}"
        await self._manifests.write(staged, manifest)
        try:
            await self.enter(table, 1, staged)
        except VersionTaken:
            await self._manifests.delete(staged)

    async def find(self, table: str, version: int) -> str:
        """The name of a version's manifest. Raises NoSuchVersion."""
        await self.newest(table)
        path = path_of(table, version)
        if not await self._manifests.is_there(path):
            raise NoSuchVersion(f"{table} has no version {version}")
        return path

    async def look_again(self, table: str) -> None:
        """Corrects the register by what lies in the bucket: it may have lost its end, or the table been dropped."""
        entry = await self._register.newest(table)
        if entry is None:
            return
        listed = await self._listed(table)
        if listed == entry.version or (entry.staged and await self._manifests.is_there(entry.staged)):
            return
        await self._register.replace(table, entry, None if listed is None else Entry(listed))

    async def forget(self, table: str) -> None:
        """Behind the removal of a table: another of its name begins again."""
        await self._register.replace(table, await self._register.newest(table), None)

    async def all_of(self, table: str) -> list[int]:
        """The versions that lie in the bucket, newest first."""
        names = await self._manifests.names(f"{table}.lance/_versions/")
        return [version_of(name) for name in names if name.endswith(MANIFEST)]

    async def _listed(self, table: str) -> int | None:
        return max(await self.all_of(table), default=None)

    async def _finish(self, table: str, entry: Entry) -> Entry:
        """Puts what is entered at its place, if nobody has yet; answers the entry as it is then."""
        if not entry.staged:
            return entry
        content, finished = await self._manifests.read(entry.staged), Entry(entry.version)
        if content is not None:
            await self._manifests.write(path_of(table, entry.version), content)
        elif not await self._manifests.is_there(path_of(table, entry.version)):
            raise NoSuchVersion(f"{table} was dropped")
        await self._register.replace(table, entry, finished)
        await self._manifests.delete(entry.staged)
        return finished


class _Answer(dict[str, Any]):
    """What Lance takes for an answer."""

    def model_dump(self, *_: object, **__: object) -> dict[str, Any]:
        return dict(self)


class LanceVersions:
    """`TableVersions` as Lance asks for them: by methods of a namespace, from threads outside the event loop.

    With `is_for_new_tables` that is never: the server compares.
    """

    def __init__(self, versions: TableVersions, *, prefix: str, is_for_new_tables: bool = False) -> None:
        self.versions = versions
        self._is_for_new_tables = is_for_new_tables
        self._prefix = f"{prefix}/" if prefix else ""
        self._loop: asyncio.AbstractEventLoop | None = None

    async def opening(self, table: str) -> dict[str, Any]:
        """What opens a table so that every commit asks here; awaited in the event loop that serves the answers."""
        if self._is_for_new_tables:
            return {}
        self._loop = asyncio.get_running_loop()
        await self.versions.look_again(table)
        return {"namespace_client": self, "managed_versioning": True}

    def namespace_id(self) -> str:
        return f"millstream:{self._prefix}"

    def list_table_versions(self, request: Mapping[str, Any]) -> _Answer:
        table = request["id"][-1]
        if request.get("limit") == 1:
            newest = self._run(self.versions.newest(table))
            found = [] if newest is None else [newest]
        else:
            found = self._run(self.versions.all_of(table))
        return _Answer(versions=[self._told(path_of(table, version), version) for version in found])

    def describe_table_version(self, request: Mapping[str, Any]) -> _Answer:
        path = self._run(self.versions.find(request["id"][-1], request["version"]))
        return _Answer(version=self._told(path, request["version"]))

    def create_table_version(self, request: Mapping[str, Any]) -> _Answer:
        if request.get("naming_scheme", SCHEME) != SCHEME:
            raise IndexUnavailable(f"manifests are named by {request['naming_scheme']}, not {SCHEME}")
        table, version = request["id"][-1], request["version"]
        self._run(self.versions.enter(table, version, request["manifest_path"].removeprefix(self._prefix)))
        return _Answer(version=self._told(path_of(table, version), version))

    def batch_delete_table_versions(self, _request: Mapping[str, Any]) -> _Answer:
        """Nothing is kept of a version but its manifest."""
        return _Answer()

    def _told(self, path: str, version: int) -> dict[str, Any]:
        return {"version": version, "manifest_path": f"{self._prefix}{path}"}

    def _run(self, call: Coroutine[Any, Any, _T]) -> _T:
        assert self._loop is not None  # noqa: S101  Lance knows us from `opening` alone
        return asyncio.run_coroutine_threadsafe(call, self._loop).result(CALL_S_MAX)


def path_of(table: str, version: int) -> str:
    """Where the manifest of a version lies, below the prefix of the index."""
    return f"{table}.lance/_versions/{VERSION_MAX - version:020d}{MANIFEST}"


def version_of(path: str) -> int:
    """The version whose manifest lies there."""
    return VERSION_MAX - int(path.rpartition("/")[2].removesuffix(MANIFEST))
