"""Where the bucket is, who we are there, and how long and how hard we try."""

from typing import Any, Final

import msgspec

from blobs.keys import check_key
from blobs.store import METADATA_BYTES_MAX

MIB: Final = 1024 * 1024
PART_BYTES_MIN: Final = 5 * MIB
PART_BYTES_MAX: Final = 5 * 1024 * MIB
CONCURRENCY_LIMIT: Final = 1000
ATTEMPTS_LIMIT: Final = 10
TIMEOUT_LIMIT_S: Final = 3600.0


class S3Settings(msgspec.Struct, frozen=True):
    """All that S3BlobStore needs to know.

    Without keys the SDK looks for credentials itself (environment, profile, instance role). `prefix` lies in front
    of every key, with a `/` between.

        part_bytes          5 MiB .. 5 GiB   a longer blob goes up in parts of this size; an upload holds two of them
        concurrency_max     1 .. 1000        calls and connections at once
        connect_timeout_s   0 .. 3600        until a connection stands
        read_timeout_s      0 .. 3600        of silence on a connection
        call_timeout_s      0 .. 3600        for one call with its retries and its wait for a connection; not for
                                             the body of a download, which goes at the pace of its reader
        attempts_max        1 .. 10          for one call: the first try and its retries, with jittered back-off

        metadata_bytes_max  0 .. 1400        what an object carries besides its bytes; 0: nothing

    Raises ValueError and InvalidBlobKey for values outside these ranges.
    """

    bucket: str
    endpoint_url: str | None = None
    region: str = "us-east-1"
    access_key: str | None = None
    secret_key: str | None = None
    prefix: str = ""
    part_bytes: int = 8 * MIB
    concurrency_max: int = 100
    connect_timeout_s: float = 5.0
    read_timeout_s: float = 30.0
    call_timeout_s: float = 60.0
    attempts_max: int = 4
    metadata_bytes_max: int = METADATA_BYTES_MAX

    def __post_init__(self) -> None:
        if not self.bucket:
            raise ValueError("an S3 bucket must be named")
        if (self.access_key is None) != (self.secret_key is None):
            raise ValueError("an access key and a secret key come together or not at all")
        if self.prefix:
            check_key(self.prefix)
        _check_range("part_bytes", self.part_bytes, PART_BYTES_MIN, PART_BYTES_MAX)
        _check_range("concurrency_max", self.concurrency_max, 1, CONCURRENCY_LIMIT)
        _check_range("attempts_max", self.attempts_max, 1, ATTEMPTS_LIMIT)
        _check_range("metadata_bytes_max", self.metadata_bytes_max, 0, METADATA_BYTES_MAX)
        for name in ("connect_timeout_s", "read_timeout_s", "call_timeout_s"):
            _check_range(name, getattr(self, name), 0.001, TIMEOUT_LIMIT_S)

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"S3Settings({fields})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Name the fields for repr and rich; the secret is starred out, for either may end in a log."""
        fields = [(name, getattr(self, name)) for name in self.__struct_fields__]
        return [(name, "***" if name == "secret_key" and value else value) for name, value in fields]


def _check_range(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise ValueError(f"{name} must be between {least:g} and {most:g}, not {value:g}")
