"""`millstream ingest`: files, folders, patterns and URLs into a knowledge base."""

import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import click

from domain.status import TaskPhase, TaskStatus
from millstream.client import Client
from millstream.commands.output import as_json, server_url
from millstream.errors import ExitCode, Stop
from millstream.progress import follow_task
from millstream.sending.bars import SendingBars
from millstream.sending.intake import Delivered, Options
from millstream.sending.ledger import Ledger, ledger_path
from millstream.sending.parcels import pack
from millstream.sending.sender import Sender
from millstream.sending.sources import NothingToSend, Sources, find_sources

GO_ON = "what was sent stays; the same command goes on where it stopped"


def _pairs(_context: click.Context, _parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    pairs = dict[str, str]()
    for one in given:
        key, equals, value = one.partition("=")
        if not key or not equals:
            raise click.BadParameter(f"{one!r} is not KEY=VALUE")
        pairs[key] = value
    return pairs


@click.command()
@click.argument("sources", nargs=-1, required=True)
@click.option("--kb", "name", required=True, help="Knowledge base, by name or id; a new name makes a new one.")
@click.option("--wait", is_flag=True, help="Wait until every document is searchable or has failed.")
@click.option(
    "--on-duplicate",
    type=click.Choice(["skip", "replace", "keep"]),
    default="skip",
    show_default=True,
    help="What becomes of a file whose bytes are in the knowledge base already.",
)
@click.option("--metadata", multiple=True, metavar="KEY=VALUE", callback=_pairs, help="Of every document; repeatable.")
@click.option("--bulk", is_flag=True, help="Let other people's uploads go first.")
@click.option("--callback-url", help="Is told when a task has ended.")
@click.option("--at-a-time", type=click.IntRange(1, 32), default=4, show_default=True, help="Requests at a time.")
@click.option("--no-resume", is_flag=True, help="Remember nothing, and do not go on where an earlier run stopped.")
@click.option("--json", "json", is_flag=True, help="Print JSON.")
@server_url
def ingest(
    sources: tuple[str, ...],
    name: str,
    wait: bool,
    on_duplicate: str,
    metadata: dict[str, str],
    bulk: bool,
    callback_url: str | None,
    at_a_time: int,
    no_resume: bool,
    json: bool,
    url: str,
) -> None:
    """Send files, folders, patterns (quoted, ** is any depth) and URLs into a knowledge base.

    What breaks off goes on where it stopped when the same command is given again.
    """
    options = Options(
        metadata=metadata,
        lane="bulk" if bulk else "interactive",
        on_duplicate=on_duplicate,
        callback_url=callback_url,
    )
    try:
        found = find_sources(sources)
    except NothingToSend as error:
        raise click.UsageError(str(error)) from None
    if not found.files and not found.urls:
        raise Stop("there is no file in the given folders", exit_code=ExitCode.USAGE)
    with Client(url) as client:
        knowledge_base_id = _knowledge_base(client, name)
        path = None if no_resume else ledger_path(client.http.url, knowledge_base_id, os.environ)
        delivered = _send(client, knowledge_base_id, found, path, options=options, at_a_time=at_a_time, quiet=json)
        ended = [follow_task(client, task, quiet=json) for task in delivered.tasks] if wait else []
    _show(found, delivered, ended, json=json)
    if delivered.refused or any(task.status is not TaskPhase.COMPLETED for task in ended):
        raise click.exceptions.Exit(ExitCode.FAILED_WORK)


def _send(
    client: Client,
    knowledge_base_id: str,
    found: Sources,
    path: Any,
    *,
    options: Options,
    at_a_time: int,
    quiet: bool,
) -> Delivered:
    bars = SendingBars(found.size_bytes)
    with Ledger(path) as ledger, nullcontext() if quiet else bars:
        sender = Sender(client, knowledge_base_id, ledger, bars, options=options)
        try:
            delivered = sender.send(pack(found), at_a_time=at_a_time)
        except KeyboardInterrupt:
            raise Stop("interrupted", hint=GO_ON) from None
        except Stop as stop:
            raise Stop(stop.what, hint="; ".join(filter(None, (stop.hint, GO_ON))), exit_code=stop.exit_code) from None
        ledger.forget()
    return delivered


def _show(found: Sources, delivered: Delivered, ended: Sequence[TaskStatus], *, json: bool) -> None:
    if json:
        shown: dict[str, object] = {
            "tasks": ended or [{"task_id": task} for task in delivered.tasks],
            "refused": delivered.refused,
            "duplicates": delivered.duplicates,
        }
        click.echo(as_json(shown))
        return
    for refusal in delivered.refused:
        click.echo(f"refused    {refusal.source}  {refusal.code}: {refusal.reason}", err=True)
    for task in delivered.tasks:
        click.echo(task)
    count = len(found.files) + len(found.urls) - len(delivered.refused)
    duplicates = f", {len(delivered.duplicates)} of them there already" if delivered.duplicates else ""
    refused = f"; {len(delivered.refused)} refused" if delivered.refused else ""
    click.echo(f"sent {count}{duplicates}{refused}", err=True)
    if delivered.tasks and not ended and sys.stdout.isatty():
        click.echo("watch with: millstream tasks TASK_ID --watch", err=True)


def _knowledge_base(client: Client, name: str) -> str:
    if name.startswith("kb_") or client.knowledge_bases(name=name):
        return client.knowledge_base(name).knowledge_base_id
    # The same key for the same name: two commands started at once make one knowledge base, not two.
    return client.create_knowledge_base(name, idempotency_key=f"ingest-{name.encode().hex()[:200]}").knowledge_base_id
