"""The `options` part of an upload."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from events.document import Metadata, OnDuplicate
from events.steps import Lane
from ingest.body import refuse_nul
from ingest.problems import Flaw, ProblemCode, Rejected, invalid
from ingest.settings import IngestSettings
from ingest.validation import rejected
from outbound.urls import URL_CHARACTERS_MAX

METADATA_ENTRIES_MAX: Final = 64
METADATA_KEY_CHARS_MAX: Final = 200
METADATA_VALUE_CHARS_MAX: Final = 2_000
"""Keys and values may be as long as those that a search can filter by."""

PATH_KEY: Final = "path"

INT_MIN: Final = -(2**63)
INT_MAX: Final = 2**63 - 1
"""What MessagePack and the index can hold."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

MetadataKey = Annotated[str, Meta(min_length=1, max_length=METADATA_KEY_CHARS_MAX)]
GivenValue = (
    Annotated[str, Meta(max_length=METADATA_VALUE_CHARS_MAX)]
    | Annotated[int, Meta(ge=INT_MIN, le=INT_MAX)]
    | float
    | bool
)


GivenMetadata = Annotated[dict[MetadataKey, GivenValue], Meta(max_length=METADATA_ENTRIES_MAX)]
"""What a client says of a document."""


class OptionsBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As a client sends it."""

    metadata: GivenMetadata = {}
    lane: Lane = Lane.INTERACTIVE
    not_before: Annotated[datetime, Meta(tz=True)] | None = None
    callback_url: Annotated[str, Meta(min_length=1, max_length=URL_CHARACTERS_MAX)] | None = None
    on_duplicate: OnDuplicate = OnDuplicate.SKIP


class UploadOptions(msgspec.Struct, frozen=True, kw_only=True):
    """As it is used: `not_before_us` is unix µs; what lies in the past is kept, and due at once.

    `callback_url` is UNSET where there is none, and `on_duplicate` where it is `skip`, so that they are no part of a
    request's fingerprint: one that came with the same key before there was a choice is the same request still.
    """

    metadata: Metadata = {}
    lane: Lane = Lane.INTERACTIVE
    not_before_us: int | None = None
    callback_url: str | UnsetType = UNSET
    on_duplicate: OnDuplicate | UnsetType = UNSET

    @property
    def duplicates(self) -> OnDuplicate:
        """What becomes of a file whose bytes are there already."""
        return OnDuplicate.SKIP if self.on_duplicate is UNSET else self.on_duplicate


_decoder = msgspec.json.Decoder(OptionsBody)


def checked_metadata(metadata: GivenMetadata, settings: IngestSettings, pointer: str) -> Metadata:
    """Raises Rejected, with `pointer`."""
    for key, value in metadata.items():
        refuse_nul(key, pointer)
        refuse_nul(value, pointer)
    if len(msgspec.json.encode(metadata)) > settings.metadata_bytes_max:
        raise invalid(pointer, f"must have at most {settings.metadata_bytes_max:,} bytes as JSON")
    return dict(metadata)


def metadata_with_path(metadata: Metadata, path: str | None, settings: IngestSettings) -> Metadata:
    """What a client says of its files, with the path of one within its folder as `path`: where the client says nothing
    of that name, and there is room."""
    if path is None or PATH_KEY in metadata or len(metadata) >= METADATA_ENTRIES_MAX:
        return metadata
    whole = {**metadata, PATH_KEY: path}
    return whole if len(msgspec.json.encode(whole)) <= settings.metadata_bytes_max else metadata


def parse_options(raw: bytes, settings: IngestSettings, now_us: int) -> UploadOptions:
    """Raises Rejected, with pointers below `/options`."""
    try:
        body = _decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise rejected(error, "/options", OptionsBody) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Rejected(
            ProblemCode.INVALID_JSON, "The part options is not JSON.", (Flaw("/options", "not JSON (UTF-8)"),)
        ) from error
    return used_options(body, settings, now_us)


def used_options(body: OptionsBody, settings: IngestSettings, now_us: int) -> UploadOptions:
    """The same of options that are part of a larger body. Raises Rejected, with pointers below `/options`."""
    return UploadOptions(
        metadata=checked_metadata(body.metadata, settings, "/options/metadata"),
        lane=body.lane,
        not_before_us=_not_before_us(body.not_before, settings, now_us),
        callback_url=UNSET if body.callback_url is None else body.callback_url,
        on_duplicate=UNSET if body.on_duplicate is OnDuplicate.SKIP else body.on_duplicate,
    )


def _not_before_us(not_before: datetime | None, settings: IngestSettings, now_us: int) -> int | None:
    if not_before is None:
        return None
    due_us = (not_before - EPOCH) // timedelta(microseconds=1)
    if due_us - now_us > timedelta(days=settings.not_before_days_max) / timedelta(microseconds=1):
        raise invalid("/options/not_before", f"must be within {settings.not_before_days_max} days")
    return max(due_us, 0)
