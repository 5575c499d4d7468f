"""`millstream documents …`: what is stored of documents, and what is done about it."""

from pathlib import Path

import click

from domain.amounts import counted
from domain.status import DocumentPhase, DocumentStatus
from millstream.client import Client
from millstream.client_documents import Chunk, Compared, Documents, KnowledgeBases
from millstream.commands.knowledge_bases import settings_of
from millstream.commands.output import as_json, server_url
from millstream.errors import Stop

_json = click.option("--json", "json", is_flag=True, help="Print JSON.")
_STATUSES = click.Choice([one.value for one in DocumentPhase if one is not DocumentPhase.DELETED])
TEXT_SHOWN_CHARS = 70


@click.group()
def documents() -> None:
    """Documents of a knowledge base, which is named by name or id (docs/knowledge-bases.md)."""


@documents.command("list")
@click.argument("knowledge_base")
@click.option("--status", type=_STATUSES, help="Only in this status.")
@click.option("--q", help="Only with this in the filename.")
@click.option("--metadata", "given", multiple=True, metavar="KEY=VALUE", help="Only with this said of them.")
@_json
@server_url
def list_documents(
    knowledge_base: str, status: str | None, q: str | None, given: tuple[str, ...], json: bool, url: str
) -> None:
    """List them, newest first."""
    query = {name: value for name, value in {"status": status, "q": q}.items() if value}
    with Client(url) as client:
        found = _of(client, knowledge_base).all(metadata=settings_of(given), **query)
    click.echo(as_json(found) if json else "\n".join(map(_line, found)) or "no documents")


@documents.command()
@click.argument("knowledge_base")
@click.argument("document_id")
@_json
@server_url
def show(knowledge_base: str, document_id: str, json: bool, url: str) -> None:
    """Show one."""
    with Client(url) as client:
        found = _of(client, knowledge_base).get(document_id)
    click.echo(as_json(found) if json else _line(found))


@documents.command()
@click.argument("knowledge_base")
@click.argument("document_id")
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="Where to; else standard output.")
@server_url
def get(knowledge_base: str, document_id: str, output: Path | None, url: str) -> None:
    """Download the original."""
    with Client(url) as client:
        pieces = _of(client, knowledge_base).content(document_id)
        if output is None:
            for piece in pieces:
                click.echo(piece, nl=False)
            return
        try:
            with output.open("wb") as file:
                file.writelines(pieces)
        except OSError as error:
            raise Stop(f"{output} cannot be written: {error.strerror}") from None


@documents.command()
@click.argument("knowledge_base")
@click.argument("document_id")
@click.option("--page", type=click.IntRange(1), help="Only this page.")
@server_url
def text(knowledge_base: str, document_id: str, page: int | None, url: str) -> None:
    """Print the extracted text."""
    with Client(url) as client:
        click.echo(_of(client, knowledge_base).text(document_id, page=page))


@documents.command()
@click.argument("knowledge_base")
@click.argument("document_id")
@_json
@server_url
def chunks(knowledge_base: str, document_id: str, json: bool, url: str) -> None:
    """List the chunks as searches find them."""
    with Client(url) as client:
        found = _of(client, knowledge_base).chunks(document_id)
    click.echo(as_json(found) if json else "\n".join(map(_chunk_line, found)))


@documents.command()
@click.argument("knowledge_base")
@click.argument("document_id")
@server_url
def delete(knowledge_base: str, document_id: str, url: str) -> None:
    """Delete one."""
    with Client(url) as client:
        _of(client, knowledge_base).delete(document_id)
    click.echo(f"{document_id} is gone; its bytes are being erased", err=True)


@documents.command()
@click.argument("knowledge_base")
@click.option("--status", type=_STATUSES, help="Only in this status.")
@click.option("--q", help="Only with this in the filename.")
@click.option("--metadata", "given", multiple=True, metavar="KEY=VALUE", help="Only with this said of them.")
@click.option(
    "--from",
    "from_step",
    type=click.Choice(["parse", "chunk", "embed", "index"]),
    default="parse",
    show_default=True,
    help="Where to begin.",
)
@click.option("--set", "own", multiple=True, metavar="NAME=VALUE", help="How they are cut from now on.")
@click.option("--unset", is_flag=True, help="Cut them as the knowledge base says again.")
@click.option("--dry-run", is_flag=True, help="Only tell what would be done, and what would change.")
@_json
@server_url
def reprocess(
    knowledge_base: str,
    status: str | None,
    q: str | None,
    given: tuple[str, ...],
    from_step: str,
    own: tuple[str, ...],
    unset: bool,
    dry_run: bool,
    json: bool,
    url: str,
) -> None:
    """Process again all that is meant; old passages serve until the new ones are complete."""
    if own and unset:
        raise click.UsageError("--set and --unset exclude each other")
    settings = settings_of(own) if own or unset else None
    where = {name: value for name, value in {"status": status, "q": q, "metadata": settings_of(given)}.items() if value}
    with Client(url) as client:
        found = client.knowledge_base(knowledge_base).knowledge_base_id
        told = KnowledgeBases(client.http).reprocess(
            found, where=where, from_step=from_step, settings=settings, dry_run=dry_run
        )
    if json:
        click.echo(as_json(told))
        return
    verb = "would be begun again" if dry_run else "begun again"
    more = "; there are more" if told.has_more else ""
    most = (
        "" if told.chunks_embedded_max is None else f", at most {counted(told.chunks_embedded_max, 'chunk')} embedded"
    )
    click.echo(f"{counted(told.documents, 'document')} {verb}{most}{more}")
    if told.compared is not None:
        click.echo(_compared_line(told.compared))
    for task in told.tasks:
        click.echo(f"{task.task_id}  {task.status}  {counted(len(task.documents), 'document')}")


def _of(client: Client, knowledge_base: str) -> Documents:
    return Documents(client.http, client.knowledge_base(knowledge_base).knowledge_base_id)


def _line(document: DocumentStatus) -> str:
    off = "" if document.enabled else "  (switched off)"
    reason = f"  {document.error.code}: {document.error.message}" if document.error else ""
    return f"{document.document_id}  {document.status.value:<10} {document.filename}{off}{reason}"


def _compared_line(compared: Compared) -> str:
    of = "" if compared.is_complete else f" (of {counted(compared.documents, 'document')} that were compared)"
    lost = f", {counted(compared.edits_lost, 'edit')} lost" if compared.edits_lost else ""
    return (
        f"chunks {compared.chunks_before:,} -> {compared.chunks_after:,}: {compared.chunks_kept:,} kept, "
        f"{compared.chunks_added:,} new, {compared.chunks_removed:,} gone{lost}; "
        f"{counted(compared.vectors_reused, 'vector')} reused, {counted(compared.chunks_embedded, 'chunk')} "
        f"({counted(compared.tokens_embedded, 'token')}) embedded{of}"
    )


def _chunk_line(chunk: Chunk) -> str:
    page = "" if chunk.page is None else f"page {chunk.page}"
    marks = "".join((" (off)" if not chunk.enabled else "", " (edited)" if chunk.edited else ""))
    shown = " ".join(chunk.text.split())[:TEXT_SHOWN_CHARS]
    return f"{chunk.chunk_id}  {page:<8} {shown}{marks}"
