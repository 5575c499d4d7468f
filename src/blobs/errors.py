"""What can go wrong with the bytes. Every error of a library or of the operating system becomes one of these."""


class BlobError(Exception):
    """Anything a blob store refuses or fails at; raised itself where none of the kinds below fits."""


class BlobMissing(BlobError):
    """There is no blob under this key."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key

    def __str__(self) -> str:
        return f"There is no blob {self.key!r}."


class BlobExists(BlobError):
    """There is a blob under this key already; it stays as it is."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key

    def __str__(self) -> str:
        return f"There is a blob {self.key!r} already."


class InvalidBlobKey(BlobError):
    """This key can never name a blob; asking again will not help."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(key, reason)
        self.key = key
        self.reason = reason

    def __str__(self) -> str:
        shown = self.key if len(self.key) <= KEY_SHOWN_CHARACTERS_MAX else self.key[:KEY_SHOWN_CHARACTERS_MAX] + "…"
        return f"{shown!r} cannot be the key of a blob: {self.reason}."


class BlobStoreUnavailable(BlobError):
    """The store refused, did not answer in time or failed within itself; the same call may succeed later."""


class BlobStoreFull(BlobError):
    """No space or no quota is left; the call succeeds once somebody makes room."""


KEY_SHOWN_CHARACTERS_MAX = 80
"""A hostile key may be megabytes long; what of it reaches an error message is not."""
