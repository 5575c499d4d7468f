"""Commands that change what a running service does: cancel, retry, and the dead letters."""

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from domain.amounts import counted
from domain.dead_letters import DeadLetter
from domain.document import STEPS_IN_ORDER
from millstream.client import Client
from millstream.client_answers import Accepted, Retried
from millstream.commands.output import as_json, server_url

F = TypeVar("F", bound=Callable[..., Any])

_STEPS = click.Choice([step.value for step in STEPS_IN_ORDER])


def _narrowed(command: F) -> F:
    """Adds the options that say which dead letters are meant."""
    for option in (
        click.option("--since", help="Only what failed since this time, like 2026-11-23T08:00:00Z."),
        click.option("--kb", "name", help="Only those of this knowledge base, by name or id."),
        click.option("--step", type=_STEPS, help="Only what failed at this step."),
        click.option("--code", help="Only what failed with this code, like parse_failed."),
    ):
        command = option(command)
    return command


@click.command()
@click.argument("task_id")
@click.option("--reason", default="", help="Why; it is kept in the history.")
@click.option("--json", "json", is_flag=True, help="Print JSON.")
@server_url
def cancel(task_id: str, reason: str, json: bool, url: str) -> None:
    """Give a task up: what waits is not begun, what runs is stopped, what has ended stays."""
    with Client(url) as client:
        _show(client.cancel_task(task_id, reason=reason), json=json)


@click.command()
@click.argument("task_id")
@click.option("--from", "from_step", type=_STEPS, help="Begin at this step, if it lies before the one that failed.")
@click.option("--cancelled", is_flag=True, help="Documents that were cancelled too.")
@click.option("--json", "json", is_flag=True, help="Print JSON.")
@server_url
def retry(task_id: str, from_step: str | None, cancelled: bool, json: bool, url: str) -> None:
    """Begin a task's failed documents again, under a new task."""
    with Client(url) as client:
        _show(client.retry_task(task_id, from_step=from_step, cancelled=cancelled), json=json)


@click.group()
def dead() -> None:
    """Documents that failed, and that nothing is done about by itself."""


@dead.command("list")
@_narrowed
@click.option("--json", "json", is_flag=True, help="Print JSON.")
@server_url
def list_dead(code: str | None, step: str | None, name: str | None, since: str | None, json: bool, url: str) -> None:
    """List them, the last failure first."""
    with Client(url) as client:
        letters = client.dead_letters(**_query(client, code, step, name, since))
    click.echo(as_json(letters) if json else "\n".join(map(_letter_line, letters)) or "no dead letters")


@dead.command("retry")
@_narrowed
@click.option("--from", "from_step", type=_STEPS, help="Begin at this step, if it lies before the one that failed.")
@click.option("--dry-run", is_flag=True, help="Only say what would be begun again.")
@click.option("--json", "json", is_flag=True, help="Print JSON.")
@server_url
def retry_dead(
    code: str | None,
    step: str | None,
    name: str | None,
    since: str | None,
    from_step: str | None,
    dry_run: bool,
    json: bool,
    url: str,
) -> None:
    """Begin them again, all or those that are named."""
    with Client(url) as client:
        query = _query(client, code, step, name, since)
        retried = client.retry_dead_letters(from_step=from_step, dry_run=dry_run, **query)
    if json:
        click.echo(as_json(retried))
        return
    _show_retried(retried)


def _query(client: Client, code: str | None, step: str | None, name: str | None, since: str | None) -> dict[str, str]:
    knowledge_base = None if name is None else client.knowledge_base(name).knowledge_base_id
    given = {"code": code, "step": step, "knowledge_base": knowledge_base, "since": since}
    return {key: value for key, value in given.items() if value is not None}


def _show(accepted: Accepted, *, json: bool) -> None:
    if json:
        click.echo(as_json(accepted))
        return
    click.echo(f"{accepted.task_id}  {accepted.status}  {accepted.message}")
    for document in accepted.documents:
        click.echo(f"  {document.status:<10} {document.filename}")
    if sys.stdout.isatty():
        click.echo(f"watch with: millstream tasks {accepted.task_id} --watch", err=True)


def _show_retried(retried: Retried) -> None:
    verb = "would be begun again" if retried.dry_run else "begun again"
    click.echo(f"{counted(retried.documents, 'document')} {verb}")
    for code, count in sorted(retried.by_code.items(), key=lambda one: (-one[1], one[0])):
        click.echo(f"  {count:>7}  {code}")
    for task in retried.tasks:
        click.echo(f"{task.task_id}  {task.status}  {counted(len(task.documents), 'document')}")
    if retried.has_more:
        click.echo("more are left: run it again for those", err=True)


def _letter_line(letter: DeadLetter) -> str:
    failed = letter.failed_at.isoformat(timespec="seconds")
    return f"{letter.document_id}  {failed}  {letter.step.value:<6} {letter.code}  {letter.filename}  {letter.message}"
