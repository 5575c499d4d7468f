"""`millstream demo`: the whole way, on a temporary data directory and a free port; leaves nothing behind."""

import asyncio
import tempfile
import time
from pathlib import Path

import click
import msgspec
from rich.console import Console

from domain.amounts import counted
from domain.status import TaskPhase, TaskStatus
from millstream.client import Client
from millstream.errors import ExitCode, Stop
from millstream.passages import print_passages
from millstream.progress import TaskProgress
from millstream.settings import Settings, load_settings
from millstream.supervisor import Supervisor
from millstream.telemetry import configure_logging


class DemoQuery(msgspec.Struct, frozen=True):
    """One search and how it is made."""

    title: str
    query: str
    mode: str


QUERIES = (
    DemoQuery("English, by meaning and words", "why must compressed air not be used to clean up flour dust", "hybrid"),
    DemoQuery("Chinese, by meaning and words", "每磨多少吨小麦要修凿磨石", "hybrid"),
    DemoQuery("by keyword", "MS-4410", "keyword"),
)
TOP = 2


@click.command()
@click.option(
    "--samples",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path("samples"),
    show_default=True,
    help="Folder whose files are uploaded.",
)
def demo(samples: Path) -> None:
    """Show the whole way on the documents of a folder."""
    files = sorted(path for path in samples.iterdir() if path.is_file() and path.name != "README.md")
    if not files:
        raise Stop(f"there is no file in {samples}", exit_code=ExitCode.USAGE)
    with tempfile.TemporaryDirectory(prefix="millstream-demo-") as data_dir:
        settings = _settings(load_settings().settings, data_dir)
        configure_logging(settings, role="demo")
        task = asyncio.run(_run(settings, files))
    if task.status is not TaskPhase.COMPLETED:
        raise Stop(f"the task ended {task.status.value}: not every document could be read")


def _settings(configured: Settings, data_dir: str) -> Settings:
    return msgspec.structs.replace(
        configured,
        data_dir=data_dir,
        host="127.0.0.1",
        port=0,
        redis_url="",
        blobs_url="",
        index_url="",
        log_level="warning",
    )


async def _run(settings: Settings, files: list[Path]) -> TaskStatus:
    click.echo("starting: embedded Redis, API, projector, workers")
    started_s = time.monotonic()
    async with Supervisor(settings, lambda line: click.echo(f"  {line}")) as supervisor:
        await supervisor.wait_until_ready()
        click.echo(f"ready after {time.monotonic() - started_s:.1f} s on {supervisor.url}\n")
        task = await asyncio.to_thread(_show, supervisor.url, files)
        click.echo("\nstopping")
    return task


def _show(url: str, files: list[Path]) -> TaskStatus:
    with Client(url) as client:
        knowledge_base_id = client.create_knowledge_base("demo").knowledge_base_id
        sent_s = time.monotonic()
        accepted = client.upload(knowledge_base_id, [(path.name, path) for path in files])
        answered_s = time.monotonic()
        click.echo(f"uploaded {counted(len(files), 'document')}: 202 after {(answered_s - sent_s) * 1000:.0f} ms")
        click.echo(f"task {accepted.task_id}\n")
        task = TaskProgress(Console()).follow(client.watch(accepted.task_id)) or client.task(accepted.task_id)
        took_s = time.monotonic() - answered_s
        click.echo(f"\n{task.status.value} in {took_s:.1f} s: {len(files) / took_s:.1f} documents/s")
        for search in QUERIES:
            click.echo(f"\n{search.title}: {search.query}")
            print_passages(client.search(knowledge_base_id, search.query, mode=search.mode, top_k=TOP))
    return task
