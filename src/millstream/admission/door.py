"""Whether keys are needed, and whether a service may be reached without: decided by the settings and by whether a key
was ever made."""

from enum import StrEnum
from typing import Final, Literal, assert_never

from domain.amounts import counted
from millstream.errors import ExitCode, Stop

Auth = Literal["auto", "keys", "open"]

LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})

MAKE_ONE: Final = "make the first one with `millstream keys create --name NAME --scope admin`"


def is_open(auth: Auth, version: int) -> bool:
    """Whether requests need no key, after so many changes of keys. All of them revoked opens nothing again."""
    match auth:
        case "open":
            return True
        case "keys":
            return False
        case "auto":
            return version == 0


def refuse_open(host: str, auth: Auth, version: int, *, open_beyond_loopback: bool) -> None:
    """Raises Stop for a service that anybody could reach and use."""
    if host in LOOPBACK or open_beyond_loopback or not is_open(auth, version):
        return
    hint = f"{MAKE_ONE}, or keep MILLSTREAM_HOST=127.0.0.1"
    if auth == "open":
        hint = "leave MILLSTREAM_AUTH=auto and " + hint
    raise Stop(
        f"refusing to listen on {host}: without keys anybody could read and delete everything",
        hint=f"{hint}, or set MILLSTREAM_OPEN_BEYOND_LOOPBACK=true behind a guard of your own",
        exit_code=ExitCode.CONFIGURATION,
    )


class Standing(StrEnum):
    """How the door stands, for whoever says it in words of their own."""

    OPEN_BY_SETTING = "open_by_setting"
    OPEN_UNTIL_FIRST_KEY = "open_until_first_key"
    KEYS = "keys"
    NO_VALID_KEY = "no_valid_key"


def standing(auth: Auth, version: int, valid_keys: int) -> Standing:
    """After so many changes of keys, of which so many are valid now."""
    if is_open(auth, version):
        return Standing.OPEN_BY_SETTING if auth == "open" else Standing.OPEN_UNTIL_FIRST_KEY
    return Standing.KEYS if valid_keys else Standing.NO_VALID_KEY


def how_it_stands(auth: Auth, version: int, valid_keys: int) -> str:
    """For /readyz, `doctor` and the log."""
    match standing(auth, version, valid_keys):
        case Standing.OPEN_BY_SETTING:
            return "open: keys are switched off (MILLSTREAM_AUTH=open)"
        case Standing.OPEN_UNTIL_FIRST_KEY:
            return "open: no key was ever made; from the first one on, keys are needed"
        case Standing.KEYS:
            return f"keys are needed; {counted(valid_keys, 'key')} valid"
        case Standing.NO_VALID_KEY:
            return f"keys are needed, and none is valid: {MAKE_ONE}"
        case other:
            assert_never(other)
