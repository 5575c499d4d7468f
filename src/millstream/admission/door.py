"""Whether keys are needed, and whether a service may be reached without: decided by the settings and by whether a key
was ever made."""

from typing import Final, Literal

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


def how_it_stands(auth: Auth, version: int, valid_keys: int) -> str:
    """For /readyz, `doctor` and the log."""
    if auth == "open":
        return "open: keys are switched off (MILLSTREAM_AUTH=open)"
    if is_open(auth, version):
        return "open: no key was ever made; from the first one on, keys are needed"
    shown = f"{valid_keys} key{'' if valid_keys == 1 else 's'}"
    return f"keys are needed; {shown} valid" if valid_keys else f"keys are needed, and none is valid: {MAKE_ONE}"
