"""`millstream top`: the flow of the mill, live in a terminal."""

import sys
import time
from typing import TYPE_CHECKING, Final

import click

from millstream.client import Client
from millstream.commands.output import as_json, server_url
from millstream.errors import Stop

if TYPE_CHECKING:
    from rich.console import Group

    from projections.system import SystemFlow

EVERY_S_MIN: Final = 0.5
"""Asked more often a mill of 256 partitions would be busy telling."""


@click.command()
@click.option("--once", is_flag=True, help="Print it once and end.")
@click.option("--json", "json", is_flag=True, help="Print JSON once and end.")
@click.option("--minutes", type=click.IntRange(1, 59), default=1, show_default=True, help="How far it looks back.")
@click.option(
    "--every",
    "every_s",
    type=click.FloatRange(EVERY_S_MIN, 60),
    default=2.0,
    show_default=True,
    help="Seconds between.",
)
@server_url
def top(once: bool, json: bool, minutes: int, every_s: float, url: str) -> None:
    """Show what each step does, what waits, how far the views are, workers and dead letters; Ctrl-C ends it.

    Where it is no terminal, it is printed once. Needs a key of the scope admin where keys are needed.
    """
    from rich.console import Console

    with Client(url) as client:
        if json:
            click.echo(as_json(_flow(client, minutes)))
        elif once or not sys.stdout.isatty():
            Console().print(_shown(_flow(client, minutes), url))
        else:
            _watch(client, url, minutes, every_s)


def _watch(client: Client, url: str, minutes: int, every_s: float) -> None:
    """A server that is away for a while is waited for; the last figures stay, and say so."""
    from rich.live import Live

    shown = _shown(_flow(client, minutes), url)
    with Live(shown, screen=True, auto_refresh=False) as live:
        try:
            while True:
                time.sleep(every_s)
                try:
                    shown = _shown(_flow(client, minutes), url)
                    live.update(shown, refresh=True)
                except Stop as stop:
                    live.update(_with_trouble(shown, stop.what), refresh=True)
        except KeyboardInterrupt:
            return


def _flow(client: Client, minutes: int) -> "SystemFlow":
    from projections.system import SystemFlow

    return client.http.get("/system", SystemFlow, params={"minutes": str(minutes)})


def _shown(flow: "SystemFlow", url: str) -> "Group":
    from rich.console import Group

    from millstream.flow_table import flow_shown

    return Group(*flow_shown(flow, url))


def _with_trouble(shown: "Group", what: str) -> "Group":
    from rich.console import Group
    from rich.text import Text

    return Group(shown, Text(f"\nno news: {what}", style="bold red"))
