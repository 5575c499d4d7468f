"""The limits of what comes in."""

from typing import Final

import msgspec

from events.log import EVENTS_PER_APPEND_MAX

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB

_RANGES: Final[dict[str, tuple[int, int]]] = {
    "upload_bytes_max": (1, 1024 * GIB),
    "request_bytes_max": (KIB, 16 * 1024 * GIB),
    "files_max": (1, EVENTS_PER_APPEND_MAX - 1),
    "fields_max": (1, 10_000),
    "field_bytes_max": (KIB, 16 * MIB),
    "part_header_bytes_max": (512, MIB),
    "json_bytes_max": (KIB, 16 * MIB),
    "metadata_bytes_max": (KIB, 32 * KIB),
    "not_before_days_max": (1, 3_660),
    "sidecars_in_flight_max": (1, 256),
    "import_items_max": (1, EVENTS_PER_APPEND_MAX - 1),
    "import_text_bytes_max": (1, 64 * MIB),
    "upload_s_max": (1, 31_536_000),
    "piece_bytes": (KIB, 64 * MIB),
    "piece_s_max": (1, 3_600),
    "pieces_max": (1, 1_000_000),
    "resumable_expiry_s": (1, 31_536_000),
    "resumable_open_max": (1, 1_000_000),
    "idempotency_lease_s": (1, 3_600),
    "idempotency_kept_s": (1, 31_536_000),
    "idempotency_reply_bytes_max": (KIB, 16 * MIB),
}


class IngestSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Raises ValueError for a value outside its range (`_RANGES`, both ends included)."""

    upload_bytes_max: int = GIB
    """One file."""

    request_bytes_max: int = 10 * GIB
    """One multipart request with everything in it."""

    files_max: int = 1_000
    """Files of one request; a task and its documents enter the log in one append, which bounds it."""

    fields_max: int = 1_000
    """Form fields of one request that are no files."""

    field_bytes_max: int = MIB
    """One form field; it is held in memory."""

    part_header_bytes_max: int = 80 * KIB
    """One header line of a part: a file name of 64 KiB must still arrive, to be cut rather than refused."""

    json_bytes_max: int = MIB
    """A JSON body."""

    metadata_bytes_max: int = 16 * KIB
    """A document's metadata as JSON; it is part of an event, which may have 64 KiB."""

    not_before_days_max: int = 365
    """How far in the future processing may be asked to begin."""

    import_items_max: int = 100
    """URLs or keys of one import."""

    import_text_bytes_max: int = MIB
    """A text that comes in the request itself; it is held in memory."""

    sidecars_in_flight_max: int = 16
    """How many sidecars of one request are stored at the same time."""

    upload_s_max: int = 43_200
    """From the head of a request to its append. The first of its files must not be as old as an orphan by then: at most
    half the grace period of the collector."""

    piece_bytes: int = 8 * MIB
    """A piece of a resumable upload; two are held in memory while one arrives."""

    piece_s_max: int = 10
    """What comes slowly is recorded so often: a server that dies costs its clients no more than that."""

    pieces_max: int = 10_000
    """Pieces of one upload; each is 100 bytes in Redis, and is read when the upload is put together."""

    resumable_expiry_s: int = 86_400
    """How long a resumable upload waits for its next byte."""

    resumable_open_max: int = 1_000
    """Resumable uploads that one actor may have open."""

    @property
    def import_bytes_max(self) -> int:
        """The JSON body of an import: escaped, a text takes up to four times its bytes."""
        return 4 * self.import_text_bytes_max + MIB

    idempotency_lease_s: int = 60
    """How long a request under an Idempotency-Key is taken to be under way, if its process has died at it."""

    idempotency_kept_s: int = 86_400
    """How long the answer to such a request is given again, where nothing that it made is named after its key."""

    idempotency_reply_bytes_max: int = MIB
    """A larger answer is not kept: its request takes effect anew when it is repeated."""

    def __post_init__(self) -> None:
        for name, (least, most) in _RANGES.items():
            value = getattr(self, name)
            if not least <= value <= most:
                raise ValueError(f"{name} must be {least:,} to {most:,}, not {value:,}")
        if self.upload_bytes_max > self.request_bytes_max:
            raise ValueError("upload_bytes_max must not exceed request_bytes_max: no file of that size could come")
