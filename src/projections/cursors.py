"""Cursors of lists: a place behind which the next page begins, signed, and good for the very list that gave it out.

A place is a member of the list. Members never move, so no page skips or repeats what was in the list all along,
whatever else changes between two calls.
"""

import base64
import binascii
import hashlib
import hmac
from typing import Final

from projections.errors import InvalidCursor

MAC_BYTES: Final = 16
CURSOR_CHARACTERS_MAX: Final = 512


class Cursors:
    """Signs with HMAC-SHA-256 (RFC 2104), cut to 128 bits. All API processes share the secret (16 bytes or more)."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) < MAC_BYTES:
            raise ValueError(f"the secret of cursors has {len(secret)} bytes, {MAC_BYTES} are the least")
        self._secret = secret

    def seal(self, scope: str, place: str) -> str:
        """`scope` names the list with its filters."""
        return base64.urlsafe_b64encode(self._mac(scope, place) + place.encode()).decode().rstrip("=")

    def open(self, scope: str, cursor: str, *, characters_max: int = CURSOR_CHARACTERS_MAX) -> str:
        """The place. Raises InvalidCursor."""
        try:
            if len(cursor) > characters_max:
                raise InvalidCursor("the cursor is longer than any that was given out")
            sealed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
            mac, place = sealed[:MAC_BYTES], sealed[MAC_BYTES:].decode()
        except (binascii.Error, ValueError) as error:
            raise InvalidCursor("the cursor is not one that was given out") from error
        if not hmac.compare_digest(mac, self._mac(scope, place)):
            raise InvalidCursor("the cursor belongs to another list, or to other filters")
        return place

    def _mac(self, scope: str, place: str) -> bytes:
        return hmac.digest(self._secret, f"{scope}\0{place}".encode(), hashlib.sha256)[:MAC_BYTES]
