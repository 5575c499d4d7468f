"""Commands that show facts."""

import click
import msgspec

from millstream.client import Client
from millstream.client_http import Page
from millstream.commands.output import as_json, server_url
from projections.task_history import RecordedFact, TaskAsOf

PAGE_FACTS = "200"


@click.group()
def events() -> None:
    """The facts that everything else follows from."""


@events.command()
@click.argument("task_id")
@click.option("--at", "at", help="The task as it stood at a time (RFC 3339) or at a position of its history.")
@click.option("--json", "json", is_flag=True, help="Print JSON.")
@server_url
def show(task_id: str, at: str | None, json: bool, url: str) -> None:
    """Show the history of a task and its documents, or how it stood."""
    with Client(url) as client:
        if at is not None:
            then = msgspec.json.decode(client.answer(f"/tasks/{task_id}/events", at=at), type=TaskAsOf)
            click.echo(as_json(then) if json else _as_of_lines(then))
            return
        facts = _facts(client, task_id)
    click.echo(as_json(facts) if json else "\n".join(map(_line, facts)))


def _facts(client: Client, task_id: str) -> list[RecordedFact]:
    facts: list[RecordedFact] = []
    cursor: str | None = None
    while True:
        params = {"limit": PAGE_FACTS} | ({} if cursor is None else {"cursor": cursor})
        page = msgspec.json.decode(client.answer(f"/tasks/{task_id}/events", **params), type=Page)
        facts += (msgspec.json.decode(row, type=RecordedFact) for row in page.data)
        cursor = page.next_cursor
        if cursor is None:
            return facts


def _line(fact: RecordedFact) -> str:
    at = fact.recorded_at.isoformat(timespec="milliseconds")
    shown = msgspec.json.encode(fact.data).decode()
    return f"{fact.position or '-':<22} {at}  {fact.stream_id} v{fact.version}  {fact.type}  {shown}"


def _as_of_lines(then: TaskAsOf) -> str:
    task = then.task
    counts = msgspec.json.encode(task.documents).decode()
    status = f"{task.task_id}  {task.status.value}  {task.progress:.0%}  {counts}"
    return f"{status}\nafter {then.facts} facts, at {then.position}"
