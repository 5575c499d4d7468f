"""Between the sending and what is around it: what is asked of a server, who is told, and what comes of it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

import msgspec

from millstream.client_answers import Accepted
from millstream.client_uploads import Uploaded
from millstream.sending.parcels import Parcel


class Options(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Of an upload, as the server reads them."""

    metadata: dict[str, str] = {}
    lane: str = "interactive"
    on_duplicate: str = "skip"
    callback_url: str | None = None


PLAIN: Final = Options()


class Refusal(msgspec.Struct, frozen=True):
    """A source that the server does not take."""

    source: str
    code: str
    reason: str


class Delivered(msgspec.Struct, frozen=True):
    """`tasks` that the sources were accepted with, those of an earlier run too; what was refused, and duplicates."""

    tasks: tuple[str, ...]
    refused: tuple[Refusal, ...]
    duplicates: tuple[str, ...]


class Intake(Protocol):
    """What is asked of the server; `millstream.client.Client` is one. Raises Unreachable and Refused.

    `options` None are the server's own; `on_sent` is told how many bytes of the whole have gone up.
    """

    def upload(
        self,
        knowledge_base_id: str,
        files: Sequence[tuple[str, Path]],
        *,
        options: Options | None,
        idempotency_key: str,
        on_sent: Callable[[int], None],
    ) -> Accepted: ...

    def import_urls(
        self, knowledge_base_id: str, urls: Sequence[str], *, options: Options | None, idempotency_key: str
    ) -> Accepted: ...

    def upload_resumable(
        self,
        knowledge_base_id: str,
        path: Path,
        *,
        filename: str,
        options: Options | None,
        resume_url: str | None,
        on_url: Callable[[str], None],
        on_progress: Callable[[int, int], None],
    ) -> Uploaded:
        """Waits for a server that is busy or away by itself."""
        ...


class Listener(Protocol):
    """Is told from several threads."""

    def began(self, parcel: Parcel) -> None: ...

    def stands_at(self, parcel: Parcel, sent_bytes: int) -> None: ...

    def waits(self, parcel: Parcel, reason: str, for_s: float) -> None: ...

    def ended(self, parcel: Parcel) -> None: ...
