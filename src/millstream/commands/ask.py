"""The command that asks a question: words as they come, what they rest on below."""

import re
from typing import Any, Final

import click

from millstream.client import Client
from millstream.client_questions import AnswerDone, Citations, Cited, Words
from millstream.commands.output import as_json, server_url

_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""What a model says may hold a document's words, and those must not drive a terminal."""


@click.command()
@click.argument("knowledge_bases", metavar="KNOWLEDGE_BASE...", nargs=-1, required=True)
@click.argument("question")
@click.option("--profile", type=click.Choice(["fast", "enhanced"]), default="enhanced", show_default=True)
@click.option("--top", "top_k", type=click.IntRange(1, 20), default=8, show_default=True, help="Passages to read.")
@click.option("--language", type=click.Choice(["en", "zh"]), help="Language of the answer; else of the question.")
@click.option("--json", "json", is_flag=True, help="Print JSON, once it is complete.")
@server_url
def ask(knowledge_bases: tuple[str, ...], question: str, url: str, *, json: bool, **options: Any) -> None:
    """Answer a question from knowledge bases, given by name or id."""
    asked = {name: value for name, value in options.items() if value is not None}
    with Client(url) as client:
        found = [client.knowledge_base(one).knowledge_base_id for one in knowledge_bases]
        if json:
            click.echo(as_json(client.ask(found, question, **asked)))
            return
        for news in client.ask_streamed(found, question, **asked):
            match news:
                case Words():
                    click.echo(_CONTROLS.sub("", news.text), nl=False)
                case Citations():
                    click.echo("\n")
                    click.echo("".join(f"{_line(one)}\n" for one in news.citations), nl=False)
                case AnswerDone():
                    _end(news)


def _line(cited: Cited) -> str:
    page = "" if cited.page is None else f", page {cited.page}"
    return f"[{cited.number}] {_CONTROLS.sub('', cited.filename)}{page}  {cited.chunk_id}"


def _end(done: AnswerDone) -> None:
    for warning in done.warnings:
        click.echo(f"! {warning.message}")
    if done.is_cut:
        click.echo("! The answer ran into a limit and is cut.")
    click.echo(f"({done.took_ms:.0f} ms)")
