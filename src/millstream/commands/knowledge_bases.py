"""`millstream kb …`: knowledge bases and their indexes."""

from typing import Any

import click

from domain.amounts import counted
from domain.knowledge_base_status import EmbeddingStatus, KnowledgeBaseStatus
from millstream.client import Client
from millstream.client_documents import KnowledgeBases, Reindex
from millstream.commands.output import as_json, server_url
from millstream.errors import ExitCode, Stop

_json = click.option("--json", "json", is_flag=True, help="Print JSON.")
_set = click.option("--set", "given", multiple=True, metavar="NAME=VALUE", help="A setting, like chunk_tokens=128.")


@click.group()
def kb() -> None:
    """Knowledge bases (docs/knowledge-bases.md), named by name or id."""


@kb.command("list")
@_json
@server_url
def list_knowledge_bases(json: bool, url: str) -> None:
    """List them, newest first."""
    with Client(url) as client:
        found = client.knowledge_bases()
    click.echo(as_json(found) if json else "\n".join(map(_line, found)) or "no knowledge bases yet")


@kb.command()
@click.argument("name")
@click.option("--description", default="", help="What it is for.")
@_set
@_json
@server_url
def create(name: str, description: str, given: tuple[str, ...], json: bool, url: str) -> None:
    """Make one."""
    with Client(url) as client:
        made = KnowledgeBases(client.http).create(name, description=description, settings=settings_of(given))
    click.echo(as_json(made) if json else _line(made))


@kb.command()
@click.argument("name")
@_json
@server_url
def show(name: str, json: bool, url: str) -> None:
    """Show one, with its settings and counters."""
    with Client(url) as client:
        found = client.knowledge_base(name)
    click.echo(as_json(found) if json else _lines(found))


@kb.command()
@click.argument("name")
@click.option("--name", "new_name", help="Another name.")
@click.option("--description", help="Another description.")
@_set
@click.option("--reindex", is_flag=True, help="Build another index where the settings need one.")
@_json
@server_url
def change(
    name: str,
    new_name: str | None,
    description: str | None,
    given: tuple[str, ...],
    reindex: bool,
    json: bool,
    url: str,
) -> None:
    """Change what is given, and nothing else."""
    fields: dict[str, Any] = {"name": new_name, "description": description, "settings": settings_of(given) or None}
    fields = {field: value for field, value in fields.items() if value is not None}
    if not fields:
        raise click.UsageError("nothing to change: give --name, --description or --set")
    with Client(url) as client:
        found = client.knowledge_base(name).knowledge_base_id
        changed = KnowledgeBases(client.http).change(found, **fields, **({"reindex": True} if reindex else {}))
    click.echo(as_json(changed) if json else _lines(changed))


@kb.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@server_url
def delete(name: str, yes: bool, url: str) -> None:
    """Delete one with all its documents."""
    with Client(url) as client:
        found = client.knowledge_base(name)
        if not yes:
            click.confirm(f"delete {found.name} with {counted(found.documents.total, 'document')}?", abort=True)
        KnowledgeBases(client.http).delete(found.knowledge_base_id)
    click.echo(f"{found.knowledge_base_id} is gone; its documents are being erased", err=True)


@kb.command()
@click.argument("name")
@_set
@click.option("--status", "only_status", is_flag=True, help="Only show how far it is.")
@click.option("--abandon", is_flag=True, help="Give up what is being built.")
@_json
@server_url
def reindex(name: str, given: tuple[str, ...], only_status: bool, abandon: bool, json: bool, url: str) -> None:
    """Build another index beside the one that serves, by other settings or by those that hold."""
    if only_status + abandon + bool(given) > 1:
        raise click.UsageError("--set, --status and --abandon exclude one another")
    with Client(url) as client:
        found, bases = client.knowledge_base(name).knowledge_base_id, KnowledgeBases(client.http)
        if only_status:
            told = bases.reindexing(found)
        elif abandon:
            told = bases.abandon_reindex(found)
        else:
            told = bases.reindex(found, settings=settings_of(given))
    click.echo(as_json(told) if json else _progress(told))


def settings_of(given: tuple[str, ...]) -> dict[str, Any]:
    """Numbers where they look like numbers. Raises Stop."""
    found: dict[str, Any] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not equals or not name:
            raise Stop(f"{one!r} is no setting", hint="write it like chunk_tokens=128", exit_code=ExitCode.USAGE)
        found[name] = _value(value)
    return found


def _value(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _line(base: KnowledgeBaseStatus) -> str:
    building = "" if base.index_generation_building is None else "  another index is being built"
    documents, chunks = counted(base.documents.total, "document"), counted(base.chunks, "chunk")
    return f"{base.knowledge_base_id}  {documents:>17} {chunks:>16}  {base.name}{building}"


def _lines(base: KnowledgeBaseStatus) -> str:
    settings, documents = base.settings, base.documents
    at_work = documents.queued + documents.processing
    counts = f"  completed {documents.completed:,}, failed {documents.failed:,}, in progress {at_work:,}"
    chunks = f"  chunks of {settings.chunk_tokens} tokens ({settings.chunker.value})"
    return f"{_line(base)}\n{counts}, {base.size_bytes:,} bytes\n{chunks}, {_embedding(base.embedding)}"


def _embedding(embedding: EmbeddingStatus) -> str:
    length = "" if embedding.dimensions is None else f" ({embedding.dimensions:,} dimensions)"
    ahead = [
        f"{what} {prefix!r}"
        for what, prefix in (("query", embedding.query_prefix), ("passage", embedding.passage_prefix))
        if prefix
    ]
    return f"embedded by {embedding.model}{length}{', prefix of ' if ahead else ''}{' and '.join(ahead)}"


def _progress(told: Reindex) -> str:
    if told.building is None:
        return f"index {told.generation} serves; nothing is being built"
    held = f", {told.failed} failed and hold the switch" if told.failed else ""
    return (
        f"index {told.generation} serves, {told.building} is being built: "
        f"{told.done} of {counted(told.documents, 'document')}{held}"
    )
