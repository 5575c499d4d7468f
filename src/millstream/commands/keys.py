"""`millstream keys`: over HTTP with a key of the scope admin, else on the installation's own Redis."""

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from domain.access import Scope
from domain.amounts import counted
from domain.api_keys import KeyLimits
from millstream.admission.key_status import CreateKeyBody, KeyStatus, ShownKey
from millstream.client_key import api_key_from_environment
from millstream.commands.output import as_json, server_url
from millstream.errors import ExitCode, Stop
from millstream.settings import load_settings

if TYPE_CHECKING:
    from millstream.admission.key_desk import KeyDesk

_DURATION = re.compile(r"(\d{1,5})(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


@click.group()
def keys() -> None:
    """API keys: who may do what.

    With MILLSTREAM_API_KEY (or --key-file) of an admin the server is asked; without, the installation's own Redis is
    changed, which is how the first key is made. A key is shown once, on stdout; only a digest of it is kept.
    """


@keys.command()
@click.option("--name", required=True, help="What it is for; shown in lists and in the log.")
@click.option(
    "--scope", "scopes", multiple=True, required=True, type=click.Choice([one.value for one in Scope]), help="What for."
)
@click.option("--kb", "bases", multiple=True, help="Bind it to this knowledge base (id, or name where a server runs).")
@click.option("--expires-in", "expires_in", help="Like 12h or 90d; without it the key never expires.")
@click.option("--reads-per-minute", type=click.IntRange(0), help="Instead of the setting; 0 is no limit.")
@click.option("--searches-per-minute", type=click.IntRange(0), help="Instead of the setting; 0 is no limit.")
@click.option("--writes-per-minute", type=click.IntRange(0), help="Instead of the setting; 0 is no limit.")
@click.option("--kb-bytes-max", type=click.IntRange(0), help="What a knowledge base may hold for it to add more.")
@click.option("--kb-documents-max", type=click.IntRange(0), help="The same in documents.")
@click.option("--json", "json", is_flag=True, help="Print JSON.")
@server_url
def create(
    name: str,
    scopes: tuple[str, ...],
    bases: tuple[str, ...],
    expires_in: str | None,
    reads_per_minute: int | None,
    searches_per_minute: int | None,
    writes_per_minute: int | None,
    kb_bytes_max: int | None,
    kb_documents_max: int | None,
    json: bool,
    url: str,
) -> None:
    """Make a key and print it, this once."""
    limits = KeyLimits(
        reads_per_minute=reads_per_minute,
        searches_per_minute=searches_per_minute,
        writes_per_minute=writes_per_minute,
        knowledge_base_bytes_max=kb_bytes_max,
        knowledge_base_documents_max=kb_documents_max,
    )
    asked = CreateKeyBody(
        name=name,
        scopes=[Scope(one) for one in scopes],
        knowledge_bases=list(bases) or None,
        expires_at=None if expires_in is None else datetime.now(UTC) + timedelta(seconds=_seconds(expires_in)),
        limits=limits,
    )
    _show(_desk(url).create(asked), json=json)


@keys.command("list")
@click.option("--json", "json", is_flag=True, help="Print JSON.")
@server_url
def list_keys(json: bool, url: str) -> None:
    """List all keys, the newest first, the revoked ones too."""
    found = _desk(url).all()
    click.echo(as_json(found) if json else "\n".join(map(_line, found)) or "no keys: the service is open on loopback")


@keys.command()
@click.argument("key_id")
@click.option("--json", "json", is_flag=True, help="Print JSON.")
@server_url
def show(key_id: str, json: bool, url: str) -> None:
    """Show one key, by its id: what stands behind its ms_."""
    found = _desk(url).find(key_id)
    click.echo(as_json(found) if json else _line(found))


@keys.command()
@click.argument("key_id")
@click.option("--json", "json", is_flag=True, help="Print JSON.")
@server_url
def revoke(key_id: str, json: bool, url: str) -> None:
    """End a key for good: within seconds it opens nothing anywhere, and its streams and uploads end."""
    found = _desk(url).revoke(key_id)
    click.echo(as_json(found) if json else _line(found))


@keys.command()
@click.argument("key_id")
@click.option(
    "--overlap", default="24h", show_default=True, help="How long the secret before stays good; 0s: not at all."
)
@click.option("--json", "json", is_flag=True, help="Print JSON.")
@server_url
def rotate(key_id: str, overlap: str, json: bool, url: str) -> None:
    """Give a key another secret and print it, this once."""
    _show(_desk(url).rotate(key_id, overlap_s=_seconds(overlap)), json=json)


def _desk(url: str) -> "KeyDesk":
    from millstream.admission.key_desk import DirectDesk, RemoteDesk

    if api_key_from_environment() is None:
        return DirectDesk(load_settings().settings)
    return RemoteDesk(url)


def _seconds(text: str) -> int:
    matched = _DURATION.fullmatch(text)
    if matched is None:
        raise Stop(f"{text!r} is no time like 30m, 12h or 90d", exit_code=ExitCode.USAGE)
    return int(matched[1]) * _SECONDS[matched[2]]


def _show(shown: ShownKey, *, json: bool) -> None:
    """The key alone on stdout, so that it can be caught; all else beside it."""
    if json:
        click.echo(as_json(shown))
        return
    click.echo(shown.api_key)
    click.echo(_line(shown), err=True)
    click.echo("it is shown this once: keep it where secrets are kept", err=True)


def _line(key: KeyStatus) -> str:
    bound = (
        f"  bound to {counted(len(key.knowledge_bases), 'knowledge base')}" if key.knowledge_bases is not None else ""
    )
    used = "never" if key.last_used_at is None else key.last_used_at.isoformat(timespec="minutes")
    return f"{key.key_id}  {_state(key):<10} {','.join(key.scopes):<12} used {used:<22} {key.name}{bound}"


def _state(key: KeyStatus) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at <= datetime.now(UTC) else "valid"
