"""The API key that clients of this process show."""

import os

from domain.api_keys import parse_key
from millstream.errors import ExitCode, Stop

API_KEY_VARIABLE = "MILLSTREAM_API_KEY"


def api_key_from_environment() -> str | None:
    """Never an argument, which every user of the machine can read."""
    return os.environ.get(API_KEY_VARIABLE, "").strip() or None


def checked_key(key: str) -> str:
    """A key that could be one: its checksum is right. Raises Stop, which does not show it."""
    if parse_key(key) is None:
        raise Stop(
            "what was given as API key is none: it was cut off or mistyped",
            hint=f"set {API_KEY_VARIABLE}, or --key-file, to what `millstream keys create` printed",
            exit_code=ExitCode.USAGE,
        )
    return key
