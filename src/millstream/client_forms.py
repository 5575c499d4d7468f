"""Files as one multipart request, streamed from where they lie."""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from millstream.client_answers import Accepted
from millstream.client_http import Http


class _Counted:
    """A file that tells how much of it was read. Sent again, it is read again and counted from the start."""

    def __init__(self, file: BinaryIO, tell: Callable[[], None]) -> None:
        self._file = file
        self._tell = tell
        self.read_bytes = 0

    def read(self, size: int = -1) -> bytes:
        piece = self._file.read(size)
        self.read_bytes += len(piece)
        self._tell()
        return piece

    def seek(self, offset: int, whence: int = 0) -> int:
        self.read_bytes = 0
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def fileno(self) -> int:
        return self._file.fileno()


def send_form(
    http: Http,
    path: str,
    files: Sequence[tuple[str, Path]],
    *,
    options: object | None,
    idempotency_key: str | None,
    on_sent: Callable[[int], None] | None,
) -> Accepted:
    """`files` are names to show with paths; `on_sent` is told the bytes of all files that were read so far."""
    counted = list[_Counted]()

    def tell() -> None:
        if on_sent is not None:
            on_sent(sum(one.read_bytes for one in counted))

    with contextlib.ExitStack() as stack:
        parts: list[tuple[str, object]] = []
        if options is not None:
            parts.append(("options", (None, msgspec.json.encode(options), "application/json")))
        for name, file in files:
            counted.append(_Counted(stack.enter_context(file.open("rb")), tell))
            parts.append(("file", (name, counted[-1], "application/octet-stream")))
        return http.post(path, Accepted, files=parts, idempotency_key=idempotency_key)
