"""Every command that a real Redis carries out, by MONITOR: which, by whom, when; of a script, its file's name."""

import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from redis import Redis

from tests.waiting import poll

SOURCE: Final = Path(__file__).resolve().parents[2] / "src"
SCRIPTS: Final = {hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest(): path.name
                  for path in SOURCE.rglob("*.lua")}  # fmt: skip
LUA: Final = "lua"


class Command(NamedTuple):
    """`name` is that of the command, for a script that of its file; `port` is the caller's, 0 within a script."""

    at_s: float
    name: str
    port: int


class Commands:
    """A context manager that listens; `port` is the server's, on loopback."""

    def __init__(self, port: int) -> None:
        self._client = Redis(port=port)
        self._monitor: Any = self._client.monitor()  # type: ignore[no-untyped-call]  # redis-py gives no types
        self._seen: list[Command] = []
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Self:
        self._monitor.__enter__()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """A last command, so that the listener looks up and sees that it is to end."""
        self._client.ping()
        self._client.echo("end")
        self._thread.join(20)
        self._monitor.__exit__(kind, error, trace)
        self._client.close()

    def until_now(self) -> list[Command]:
        """Everything that the server was asked before this call."""
        before = len(self._seen)
        word = f"mark-{before}"
        self._client.echo(word)
        poll(lambda: any(one.name == word for one in self._seen[before:]), "the listener is up to date")
        return [one for one in self._seen if not one.name.startswith("mark-")]

    def since(self, earlier: Sequence[Command]) -> list[Command]:
        return self.until_now()[len(earlier) :]

    def _listen(self) -> None:
        for told in self._monitor.listen():
            command = _command(told)
            if command.name == "end":
                return
            self._seen.append(command)


def _command(told: dict[str, Any]) -> Command:
    words = str(told["command"]).split(" ", 2)
    name = words[0].upper()
    if name == "EVALSHA":
        name = SCRIPTS.get(words[1], words[1])
    if name == "ECHO":
        name = words[1]
    is_inner = told["client_type"] == LUA
    return Command(float(told["time"]), name, 0 if is_inner else int(told["client_port"]))


def ports_of(pid: int) -> set[int]:
    """The local TCP ports of a process's connections, as Linux tells them."""
    inodes = {
        target.removeprefix("socket:[").removesuffix("]")
        for descriptor in Path(f"/proc/{pid}/fd").iterdir()
        if (target := _target(descriptor)).startswith("socket:[")
    }
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return {int(row[1].rpartition(":")[2], 16) for row in rows if row[9] in inodes}


def _target(descriptor: Path) -> str:
    try:
        return str(descriptor.readlink())
    except OSError:
        return ""
