"""Commands that ask a running service: search, tasks."""

from typing import Any

import click

from domain.status import TaskStatus
from millstream.client import Client
from millstream.commands.output import as_json, server_url
from millstream.passages import print_passages
from millstream.progress import follow_task


@click.command()
@click.argument("knowledge_bases", metavar="KNOWLEDGE_BASE...", nargs=-1, required=True)
@click.argument("query")
@click.option("--mode", type=click.Choice(["hybrid", "keyword", "vector"]), default="hybrid", show_default=True)
@click.option("--top", "top_k", type=click.IntRange(1, 100), default=5, show_default=True, help="Passages to show.")
@click.option("--profile", type=click.Choice(["fast", "enhanced"]), default="fast", show_default=True)
@click.option("--neighbours", type=click.IntRange(0, 5), help="Chunks to show on each side of a passage.")
@click.option("--min-score", type=float, help="Leave out what scores less.")
@click.option("--json", "json", is_flag=True, help="Print JSON.")
@server_url
def search(knowledge_bases: tuple[str, ...], query: str, url: str, *, json: bool, **options: Any) -> None:
    """Find passages in knowledge bases, given by name or id."""
    asked = {name: value for name, value in options.items() if value is not None}
    with Client(url) as client:
        named = [client.knowledge_base(one).knowledge_base_id for one in knowledge_bases]
        found = client.search(named, query, **asked)
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
        task = follow_task(client, task_id, quiet=json) if watch else client.task(task_id)
        documents = client.task_documents(task_id)
    if json:
        click.echo(as_json({"task": task, "documents": documents}))
        return
    click.echo(_task_line(task))
    for document in documents:
        reason = f"  {document.error.code}: {document.error.message}" if document.error else ""
        click.echo(f"  {document.status.value:<10} {document.progress:>4.0%}  {document.filename}{reason}")


def _task_line(task: TaskStatus) -> str:
    documents = task.documents
    others = f" +{documents.total - 1}" if documents.total > 1 else ""
    named = "" if task.filename is None else f"  {task.filename}{others}"
    ended = documents.total - documents.queued - documents.processing
    failed = f", {documents.failed} failed" if documents.failed else ""
    how_far = f"{task.status.value:<10} {task.progress:>4.0%}  {ended}/{documents.total}{failed}"
    return f"{task.task_id}  {how_far}  {task.submitted_at.isoformat(timespec='seconds')}{named}"
