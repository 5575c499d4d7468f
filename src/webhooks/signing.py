"""Secrets and signatures by the Standard Webhooks specification 1.0.0. Pure; random bytes are passed in.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hashlib
import hmac
from typing import Final

import msgspec

SECRET_PREFIX: Final = "whsec_"  # noqa: S105  says that a secret follows
SECRET_BYTES: Final = 32
"""The specification asks for 24 to 64."""

MASKED: Final = "whsec_••••••"


class Secrets(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one subscription's messages are signed with: after a rotation with the previous secret too, until a time.

    `rotation` is the digest of the Idempotency-Key of the last rotation. Nothing of it is ever shown by `repr`.
    """

    current: str
    previous: str | None = None
    previous_until_us: int = 0
    rotation: str | None = None

    def __repr__(self) -> str:
        return f"Secrets({MASKED})"

    def at(self, now_us: int) -> tuple[str, ...]:
        """Those that receivers may hold now, the newest first."""
        if self.previous is None or now_us >= self.previous_until_us:
            return (self.current,)
        return (self.current, self.previous)


def new_secret(random_bytes: bytes) -> str:
    """`whsec_` and the base64 of 32 random bytes. Raises ValueError for fewer or more."""
    if len(random_bytes) != SECRET_BYTES:
        raise ValueError(f"a secret is made of {SECRET_BYTES} random bytes")
    return SECRET_PREFIX + base64.b64encode(random_bytes).decode()


def rotated(secrets: Secrets, random_bytes: bytes, *, until_us: int, rotation: str | None) -> Secrets:
    """A new secret, and the present one for the time that receivers need to change theirs."""
    return Secrets(
        current=new_secret(random_bytes), previous=secrets.current, previous_until_us=until_us, rotation=rotation
    )


def callback_secret(installation_secret: bytes, actor: str) -> str:
    """What callbacks of an actor's tasks are signed with: always the same, so it needs to be kept nowhere."""
    digest = hmac.digest(installation_secret, f"callback:{actor}".encode("utf-8", "surrogatepass"), hashlib.sha256)
    return SECRET_PREFIX + base64.b64encode(digest).decode()


def signature(secrets: tuple[str, ...], message_id: str, timestamp_s: int, body: bytes) -> str:
    """The value of `webhook-signature`: `v1,` and the base64 of HMAC-SHA-256 over `id.timestamp.body`, for each secret.

    Signatures are separated by a blank; a receiver accepts the message if one of them is its own.
    """
    signed = f"{message_id}.{timestamp_s}.".encode() + body
    return " ".join(_signature(secret, signed) for secret in secrets)


def headers_of(message_id: str, timestamp_s: int, body: bytes, secrets: tuple[str, ...]) -> dict[str, str]:
    """The three headers of the specification. The timestamp is that of the attempt (unix seconds)."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": signature(secrets, message_id, timestamp_s, body),
    }


def _signature(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
