"""SHA-256 of resumable uploads as far as this process has received them: who saw every byte need not read them again.

A digest under way cannot be stored, so it is good in one process, and for bytes that came in order. Anything else means
that the upload is read once when it is complete.
"""

import hashlib
from collections import OrderedDict
from typing import Any, Final

KEPT_MAX: Final = 10_000
"""Uploads, 300 bytes each; the longest untouched goes first."""


class RunningDigests:
    """By upload: how many bytes were digested, and the digest so far."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[int, Any]] = OrderedDict()

    def at(self, upload_id: str, offset: int) -> Any:
        """A copy to go on with from this offset, None where it is not known."""
        if offset == 0:
            return hashlib.sha256()
        known, digest = self._kept.get(upload_id, (0, None))
        return digest.copy() if known == offset else None

    def keep(self, upload_id: str, offset: int, digest: Any) -> None:
        """What was digested up to there; the caller may go on with its own."""
        self._kept[upload_id] = offset, digest.copy()
        self._kept.move_to_end(upload_id)
        while len(self._kept) > KEPT_MAX:
            self._kept.popitem(last=False)

    def whole(self, upload_id: str, length: int | None) -> str | None:
        """The digest of all bytes, in hex, where all were seen; it is not kept any longer."""
        known, digest = self._kept.get(upload_id, (0, None))
        if digest is None or known != length:
            return None
        del self._kept[upload_id]
        return str(digest.hexdigest())
