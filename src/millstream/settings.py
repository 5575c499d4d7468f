"""Every setting: unit, range, default, meaning. Read once, from `MILLSTREAM_…` variables, then `millstream.toml`."""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints

import msgspec
from msgspec import Meta

from millstream.errors import ExitCode, Stop
from millstream.settings_observing import ObservingFields

ENVIRONMENT_PREFIX = "MILLSTREAM_"
CONFIG_FILE = "millstream.toml"
MASK = "••••••"

_SECRET = {"secret": True}


class Settings(ObservingFields, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Flat and typed. A name ends in its unit; 0 for a count that is found out by itself says so."""

    host: Annotated[str, Meta(min_length=1, description="address the API listens on")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535, description="port of the API; 0 takes a free one")] = 8321
    open_beyond_loopback: Annotated[
        bool, Meta(description="allow an address other than loopback although no key is needed")
    ] = False
    allowed_hosts: Annotated[
        str, Meta(description="host names, comma-separated, that requests may name besides loopback")
    ] = ""
    data_dir: Annotated[str, Meta(min_length=1, description="where the embedded default keeps everything")] = "./data"
    blobs_url: Annotated[
        str, Meta(description="file:///path or s3://bucket/prefix; empty is a folder of the data directory")
    ] = ""
    s3_endpoint_url: Annotated[str, Meta(description="S3 server, unless it is Amazon's")] = ""
    s3_region: Annotated[str, Meta(description="S3 region")] = ""
    s3_access_key: Annotated[str, Meta(description="S3 access key", extra=_SECRET)] = ""
    s3_secret_key: Annotated[str, Meta(description="S3 secret key", extra=_SECRET)] = ""
    s3_call_s_max: Annotated[
        int, Meta(ge=1, le=3_600, description="time for one call of the S3 server with its retries, seconds")
    ] = 30
    """An upload waits for two calls in a row after its last byte, then 5 s at most for tidying up: answered in 65 s."""
    s3_metadata_bytes_max: Annotated[
        int,
        Meta(ge=0, le=1_400, description="length up to which a source on S3 carries its sidecar, bytes; 0: none does"),
    ] = 1_400
    workers: Annotated[int, Meta(ge=0, le=64, description="worker processes of `up`; 0 is one a core, at most 4")] = 0
    worker_niceness: Annotated[
        int,
        Meta(ge=0, le=19, description="how far workers and their parsers stand back where others want the processor"),
    ] = 5
    """At 0 uploads and searches wait behind all workers; at 5 the API has three times the share of one worker, at 10
    nine times, and workers on a machine that others keep busy hardly get on."""
    lease_s: Annotated[
        int,
        Meta(ge=1, le=600, description="silence after which a worker counts as dead and others take over, seconds"),
    ] = 15
    retry_base_ms: Annotated[
        int,
        Meta(
            ge=1,
            le=60_000,
            description="longest wait before the second attempt at a step, milliseconds; it doubles with each attempt",
        ),
    ] = 1_000
    orphan_grace_s: Annotated[
        int,
        Meta(
            ge=1,
            le=31_536_000,
            description="age from which blobs without an event are deleted, seconds; an upload may take half of it. "
            "Below 60 only where nobody uploads meanwhile",
        ),
    ] = 86_400
    reconcile_age_s: Annotated[
        int,
        Meta(
            ge=1,
            le=3_600,
            description="age from which an upload whose events Redis has lost is accepted again, seconds",
        ),
    ] = 60
    collect_interval_s: Annotated[
        int, Meta(ge=1, le=2_592_000, description="time between two collections of what nobody needs, seconds")
    ] = 21_600
    drain_s_max: Annotated[
        int, Meta(ge=1, le=60, description="how long a stopping process may finish what it has begun, seconds")
    ] = 8
    upload_bytes_max: Annotated[int, Meta(ge=1, description="size of one file, bytes")] = 1_073_741_824
    request_bytes_max: Annotated[int, Meta(ge=1, description="size of one upload request, bytes")] = 10_737_418_240
    files_max: Annotated[int, Meta(ge=1, le=1_000, description="files in one upload request")] = 1_000
    outbound_allow: Annotated[
        str,
        Meta(
            description="what may be called besides the public internet, comma-separated: ranges (10.0.0.0/8) and "
            "host:port (minio:9000)"
        ),
    ] = ""
    outbound_ports: Annotated[
        str, Meta(description="ports of the public internet that may be called, comma-separated")
    ] = "80,443"
    import_bucket_url: Annotated[
        str,
        Meta(description="file:///path or s3://bucket/prefix (with the S3 keys above) to import objects from"),
    ] = ""
    import_items_max: Annotated[int, Meta(ge=1, le=999, description="URLs or objects in one import request")] = 100
    import_text_bytes_max: Annotated[int, Meta(ge=1, le=67_108_864, description="size of one imported text, bytes")] = (
        1_048_576
    )
    fetch_s_max: Annotated[
        int, Meta(ge=1, le=86_400, description="time for one attempt to fetch a document by URL, seconds")
    ] = 900
    resumable_expiry_s: Annotated[
        int, Meta(ge=1, le=31_536_000, description="how long a resumable upload waits for its next byte, seconds")
    ] = 86_400
    resumable_open_max: Annotated[
        int, Meta(ge=1, le=1_000_000, description="resumable uploads that one caller may have open")
    ] = 1_000
    resumable_piece_bytes: Annotated[
        int,
        Meta(
            ge=1_024,
            le=67_108_864,
            description="bytes of a resumable upload that are stored and recorded together; two of them are in memory",
        ),
    ] = 8_388_608
    task_retention_s: Annotated[
        int,
        Meta(
            ge=0,
            le=3_153_600_000,
            description="how long finished tasks stay in lists, seconds; their histories stay; 0 is for ever",
        ),
    ] = 2_592_000
    archive: Annotated[
        bool, Meta(description="let projectors move facts from the log to verified segments in the blob store")
    ] = True
    archive_segment_events_max: Annotated[
        int, Meta(ge=1_000, le=1_000_000, description="events of a segment; so many make one at once")
    ] = 50_000
    archive_after_s: Annotated[
        int,
        Meta(ge=1, le=31_536_000, description="age of an event that makes a segment of what there is, seconds"),
    ] = 86_400
    archive_retention_s: Annotated[
        int,
        Meta(
            ge=0,
            le=31_536_000,
            description="how long archived events stay in the log too, seconds: what is worked on is read from memory",
        ),
    ] = 600
    production: Annotated[bool, Meta(description="refuse what only tests need: failpoints")] = False
    failpoints: Annotated[
        str, Meta(description="for tests of faults: place=action[:seconds][@passage]; several with ; between")
    ] = ""
    failpoints_dir: Annotated[str, Meta(description="for tests of faults: where failpoints that fired are noted")] = ""
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="least severity that is logged")
    ] = "info"
    log_format: Annotated[
        Literal["auto", "json", "console"], Meta(description="auto is console at a terminal, json elsewhere")
    ] = "auto"

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={shown_value(self, name)!r}" for name in self.__struct_fields__)
        return f"Settings({shown})"

    @property
    def data_path(self) -> Path:
        return Path(self.data_dir).expanduser().resolve()


class Loaded(msgspec.Struct, frozen=True):
    """The settings and, by field, where each value came from."""

    settings: Settings
    origins: dict[str, str]


def load_settings(environment: Mapping[str, str] | None = None, *, config_file: Path | None = None) -> Loaded:
    """Raises Stop that names every unknown name and every bad value at once."""
    environment = os.environ if environment is None else environment
    named = config_file or environment.get(f"{ENVIRONMENT_PREFIX}CONFIG")
    values, origins, problems = _from_file(Path(named or CONFIG_FILE), must_exist=bool(named))
    _overlay_environment(environment, values, origins, problems)
    converted = {name: _convert(name, value, origins[name], problems) for name, value in values.items()}
    if problems:
        raise Stop("; ".join(problems), hint="`millstream settings` lists every name", exit_code=ExitCode.CONFIGURATION)
    settings = Settings(**converted)
    return Loaded(settings, {name: origins.get(name, "default") for name in Settings.__struct_fields__})


def shown_value(settings: Settings, name: str) -> object:
    """A value as it may be printed: secrets masked, also the password within a URL."""
    value = getattr(settings, name)
    if value and _meta(name).get("json"):
        return _with_masked_values(value)
    if value and _meta(name).get("secret"):
        return MASK
    return _without_password(value) if name.endswith("_url") else value


def description_of(name: str) -> str:
    """What the setting means."""
    return next((meta.description or "" for meta in _metas(name)), "")


def _from_file(path: Path, *, must_exist: bool) -> tuple[dict[str, Any], dict[str, str], list[str]]:
    if not path.exists():
        problems = [f"{path} does not exist"] if must_exist else []
        return {}, {}, problems
    try:
        read = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, OSError, UnicodeDecodeError) as error:
        return {}, {}, [f"{path} cannot be read: {error}"]
    unknown = [f"{path}: unknown setting {name!r}" for name in read if name not in Settings.__struct_fields__]
    known = {name: value for name, value in read.items() if name in Settings.__struct_fields__}
    return known, dict.fromkeys(known, str(path)), unknown


def _overlay_environment(
    environment: Mapping[str, str], values: dict[str, Any], origins: dict[str, str], problems: list[str]
) -> None:
    for variable, value in environment.items():
        if not variable.startswith(ENVIRONMENT_PREFIX) or variable in _OTHER_VARIABLES:
            continue
        name = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
        if name not in Settings.__struct_fields__:
            problems.append(f"unknown variable {variable}")
            continue
        values[name], origins[name] = value, variable


def _convert(name: str, value: Any, origin: str, problems: list[str]) -> Any:
    if _meta(name).get("json") and value:
        return _json_object(name, value, origin, problems)
    try:
        return msgspec.convert(value, _HINTS[name], strict=False)
    except msgspec.ValidationError as error:
        shown = MASK if _meta(name).get("secret") else repr(value)
        problems.append(f"{origin}: {name}={shown}: {error}")
        return None


def _json_object(name: str, value: Any, origin: str, problems: list[str]) -> str | None:
    """The text of a JSON object, of which a table is another form. What is wrong with it is told without any of it."""
    try:
        found = msgspec.json.decode(value) if isinstance(value, str) else value
        text = msgspec.json.encode(found).decode()
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError):
        found, text = None, ""
    if not isinstance(found, dict):
        problems.append(f'{origin}: {name}={MASK}: must be a JSON object, like {{"model_name": "…"}}')
        return None
    return text


def _with_masked_values(text: str) -> str:
    """A JSON object with its names, numbers and switches; any text in it may be a secret."""
    try:
        found = msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        return MASK
    return msgspec.json.encode(_masked(found)).decode()


def _masked(value: Any) -> Any:
    match value:
        case dict():
            return {name: _masked(one) for name, one in value.items()}
        case list():
            return [_masked(one) for one in value]
        case str():
            return MASK
        case _:
            return value


def _without_password(url: str) -> str:
    """`scheme://user:password@host` with the password masked; a URL without one as it is."""
    return re.sub(r"(?<=://)([^/?#:]*):[^/?#]*@", rf"\1:{MASK}@", url)


def _metas(name: str) -> list[Meta]:
    return [meta for meta in get_args(_HINTS[name])[1:] if isinstance(meta, Meta)]


def _meta(name: str) -> dict[str, Any]:
    return next((meta.extra for meta in _metas(name) if meta.extra), {})


_HINTS = get_type_hints(Settings, include_extras=True)
_OTHER_VARIABLES = {f"{ENVIRONMENT_PREFIX}{name}" for name in ("CONFIG", "URL", "API_KEY")}
"""Which file to read, where a client finds its server and what it shows there: none is a setting of the service."""
