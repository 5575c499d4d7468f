"""How far a command came: what it notes while it sends, so that the same command goes on after a break.

One file of JSON lines for each server and knowledge base, below the user's state directory. It is gone once everything
was sent: whoever says it again then means it again, and the server tells duplicates by their bytes.
"""

import hashlib
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from millstream.errors import Stop
from millstream.sending.sources import LocalFile

DIGITS: Final = 24
"""Of a digest that names a ledger."""


class Sent(msgspec.Struct, frozen=True, tag="sent"):
    """A file or URL that was accepted, with its task."""

    source: str
    task_id: str


class Begun(msgspec.Struct, frozen=True, tag="begun"):
    """A resumable upload that may be half-way."""

    source: str
    upload_url: str


_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Sent | Begun] = msgspec.json.Decoder(Sent | Begun)


def mark_of(file: LocalFile) -> str:
    """What makes a file the same as before the break: its place, size and time of change."""
    return f"{file.path.resolve()}\0{file.size_bytes}\0{file.modified_ns}"


def ledger_path(url: str, knowledge_base_id: str, environment: Mapping[str, str]) -> Path:
    """Below XDG_STATE_HOME, or ~/.local/state (XDG Base Directory Specification 0.8)."""
    state = Path(environment.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    digest = hashlib.sha256(f"{url}\0{knowledge_base_id}".encode()).hexdigest()[:DIGITS]
    return state / "millstream" / "ingest" / f"{digest}.jsonl"


class Ledger:
    """Used by several threads. Raises Stop where the file cannot be written."""

    def __init__(self, path: Path | None) -> None:
        """Without a path nothing is remembered."""
        self._path = path
        self._lock = threading.Lock()
        self._tasks: dict[str, str] = {}
        self._uploads: dict[str, str] = {}
        self._file: Any = None

    def __enter__(self) -> Self:
        if self._path is None:
            return self
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = self._path.open("a+b")
            self._file.seek(0)
            line = b"\n"
            for line in self._file:
                self._take(line)
            if not line.endswith(b"\n"):
                self._file.write(b"\n")  # the break cut that line off: the next one shall not be part of it
        except OSError as error:
            raise self._unusable(error) from None
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def task_of(self, source: str) -> str | None:
        """The task that a source was accepted with, None if it is still to be sent."""
        return self._tasks.get(source)

    def upload_of(self, source: str) -> str | None:
        """Where a resumable upload of it was begun."""
        return self._uploads.get(source)

    def note(self, entry: Sent | Begun) -> None:
        with self._lock:
            line = _encoder.encode(entry)
            self._take(line)
            if self._file is None:
                return
            try:
                self._file.write(line + b"\n")
                self._file.flush()
                os.fsync(self._file.fileno())
            except OSError as error:
                raise self._unusable(error) from None

    def forget(self) -> None:
        """Everything was sent."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _take(self, line: bytes) -> None:
        try:
            match _decoder.decode(line):
                case Sent(source, task_id):
                    self._tasks[source] = task_id
                    self._uploads.pop(source, None)
                case Begun(source, upload_url):
                    self._uploads[source] = upload_url
        except (msgspec.DecodeError, UnicodeDecodeError):
            return  # a line that a break cut off: that source is sent again, and told by its bytes

    def _unusable(self, error: OSError) -> Stop:
        return Stop(
            f"{self._path} cannot be written: {error.strerror}",
            hint="set XDG_STATE_HOME to a folder that can, or pass --no-resume",
        )
