"""Where a document's bytes lie before they are here."""

import msgspec


class Origin(msgspec.Struct, frozen=True):
    """One of the two: a URL, or a key of the import bucket."""

    url: str | None = None
    object_key: str | None = None
