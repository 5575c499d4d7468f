"""Commands that speak to a running service: ingest, search, tasks."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from domain.status import TaskPhase, TaskStatus
from millstream.client import Client
from millstream.client_answers import Accepted
from millstream.commands.output import as_json, server_url
from millstream.errors import ExitCode, Stop
from millstream.passages import print_passages
from millstream.progress import TaskProgress

FILES_PER_UPLOAD = 100
"""Of a folder's files, this many go into one task, so that a break in the middle costs one upload, not all."""


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--kb", "name", required=True, help="Knowledge base, by name or id; a new name makes a new one.")
@click.option("--wait", is_flag=True, help="Wait until every document is searchable or has failed.")
@click.option("--json", "json", is_flag=True, help="Print JSON.")
@server_url
def ingest(paths: tuple[Path, ...], name: str, wait: bool, json: bool, url: str) -> None:
    """Upload files or folders into a knowledge base."""
    files = _files_of(paths)
    with Client(url) as client:
        knowledge_base_id = _knowledge_base(client, name)
        tasks = [
            client.upload(knowledge_base_id, files[start : start + FILES_PER_UPLOAD])
            for start in range(0, len(files), FILES_PER_UPLOAD)
        ]
        if not wait:
            _show_accepted(tasks, json=json)
            return
        ended = [_watch(client, accepted.task_id, quiet=json) for accepted in tasks]
        if json:
            click.echo(as_json(ended))
    if any(task.status is not TaskPhase.COMPLETED for task in ended):
        raise click.exceptions.Exit(ExitCode.FAILED_WORK)


@click.command()
@click.argument("knowledge_base")
@click.argument("query")
@click.option("--mode", type=click.Choice(["hybrid", "keyword", "vector"]), default="hybrid", show_default=True)
@click.option("--top", "top_k", type=click.IntRange(1, 100), default=5, show_default=True, help="Passages to show.")
@click.option("--json", "json", is_flag=True, help="Print JSON.")
@server_url
def search(knowledge_base: str, query: str, mode: str, top_k: int, json: bool, url: str) -> None:
    """Find passages in a knowledge base, given by name or id."""
    with Client(url) as client:
        found = client.search(client.knowledge_base(knowledge_base).knowledge_base_id, query, mode=mode, top_k=top_k)
    if json:
        click.echo(as_json(found))
    else:
        print_passages(found)


@click.command()
@click.argument("task_id", required=False)
@click.option("--watch", is_flag=True, help="Show progress bars until the task ends.")
@click.option("--json", "json", is_flag=True, help="Print JSON.")
@server_url
def tasks(task_id: str | None, watch: bool, json: bool, url: str) -> None:
    """List tasks, newest first, or show one with its documents."""
    with Client(url) as client:
        if task_id is None:
            listed = client.tasks()
            click.echo(as_json(listed) if json else "\n".join(map(_task_line, listed)) or "no tasks yet")
            return
        task = _watch(client, task_id, quiet=json) if watch else client.task(task_id)
        documents = client.task_documents(task_id)
    if json:
        click.echo(as_json({"task": task, "documents": documents}))
        return
    click.echo(_task_line(task))
    for document in documents:
        reason = f"  {document.error.code}: {document.error.message}" if document.error else ""
        click.echo(f"  {document.status.value:<10} {document.progress:>4.0%}  {document.filename}{reason}")


def _files_of(paths: Sequence[Path]) -> list[tuple[str, Path]]:
    found: list[tuple[str, Path]] = []
    for path in paths:
        if path.is_dir():
            found.extend(
                (str(file.relative_to(path)), file)
                for file in sorted(path.rglob("*"))
                if file.is_file() and not any(part.startswith(".") for part in file.relative_to(path).parts)
            )
        else:
            found.append((path.name, path))
    if not found:
        raise Stop("there is no file in the given folders", exit_code=ExitCode.USAGE)
    return found


def _knowledge_base(client: Client, name: str) -> str:
    if name.startswith("kb_") or client.knowledge_bases(name=name):
        return client.knowledge_base(name).knowledge_base_id
    # The same key for the same name: two commands started at once make one knowledge base, not two.
    return client.create_knowledge_base(name, idempotency_key=f"ingest-{name.encode().hex()[:200]}").knowledge_base_id


def _watch(client: Client, task_id: str, *, quiet: bool) -> TaskStatus:
    if quiet:
        for _ in client.watch(task_id):
            pass
        return client.task(task_id)
    return TaskProgress().follow(client.watch(task_id)) or client.task(task_id)


def _show_accepted(accepted: Sequence[Accepted], *, json: bool) -> None:
    if json:
        click.echo(as_json(accepted))
        return
    for one in accepted:
        click.echo(f"{one.task_id}  {one.status}  {len(one.documents)} documents")
    if sys.stdout.isatty():
        click.echo("watch with: millstream tasks TASK_ID --watch", err=True)


def _task_line(task: TaskStatus) -> str:
    documents = task.documents
    ended = documents.total - documents.queued - documents.processing
    failed = f", {documents.failed} failed" if documents.failed else ""
    submitted = task.submitted_at.isoformat(timespec="seconds")
    return (
        f"{task.task_id}  {task.status.value:<10} {task.progress:>4.0%}  {ended}/{documents.total}{failed}  {submitted}"
    )
