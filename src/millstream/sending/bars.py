"""What a person sees of the sending: a bar for all bytes, one for each parcel on its way; lines off a terminal."""

import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self, assert_never

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from millstream.sending.parcels import Form, Import, Parcel, Resumable


class SendingBars:
    """A Listener. Bytes that go up again after a break are counted once: a bar never runs past its end."""

    def __init__(self, total_bytes: int, console: Console | None = None) -> None:
        self.console = console or Console(file=sys.stderr)
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[note]}"),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self._all = self._bars.add_task("sending", total=total_bytes, note="")
        self._bar_of: dict[int, TaskID] = {}
        self._sent_of: dict[int, int] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._bars.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.__exit__(kind, error, trace)

    def began(self, parcel: Parcel) -> None:
        with self._lock:
            self._sent_of[id(parcel)] = 0
            self._bar_of[id(parcel)] = self._bars.add_task(title_of(parcel), total=parcel.size_bytes, note="")

    def stands_at(self, parcel: Parcel, sent_bytes: int) -> None:
        with self._lock:
            shown = min(sent_bytes, parcel.size_bytes)
            self._bars.advance(self._all, shown - self._sent_of[id(parcel)])
            self._sent_of[id(parcel)] = shown
            self._bars.update(self._bar_of[id(parcel)], completed=shown, note="")

    def waits(self, parcel: Parcel, reason: str, for_s: float) -> None:
        note = f"{reason}; again in {for_s:.0f} s"
        with self._lock:
            self._bars.update(self._bar_of[id(parcel)], note=note)
        self._say(lambda: f"waiting    {title_of(parcel)}: {note}")

    def ended(self, parcel: Parcel) -> None:
        self.stands_at(parcel, parcel.size_bytes)
        with self._lock:
            self._bars.remove_task(self._bar_of.pop(id(parcel)))
        self._say(lambda: f"sent       {title_of(parcel)}")

    def _say(self, line: Callable[[], str]) -> None:
        if not self.console.is_terminal:
            self.console.print(line(), markup=False, highlight=False)


def title_of(parcel: Parcel) -> str:
    """A few words that name it."""
    match parcel:
        case Form(files=(file,)) | Resumable(file=file):
            return file.name
        case Form(files=files):
            return f"{files[0].name} and {len(files) - 1} more"
        case Import(urls=(url,)):
            return url
        case Import(urls=urls):
            return f"{urls[0]} and {len(urls) - 1} more"
        case _:
            assert_never(parcel)
