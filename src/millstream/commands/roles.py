"""Commands that start the service: up, and each role alone."""

import asyncio
import signal

import click

from millstream.lean_imports import import_lean
from millstream.settings import load_settings


@click.command()
@click.option("--port", type=click.IntRange(0, 65_535), help="Port of the API; 0 takes a free one.")
@click.option("--data-dir", type=click.Path(file_okay=False), help="Where everything is kept.")
def up(port: int | None, data_dir: str | None) -> None:
    """Start everything on this machine; Ctrl-C drains and stops it."""
    import_lean("structlog", "httpx")
    import msgspec

    from millstream.roles import check_binding
    from millstream.supervisor import Supervisor
    from millstream.telemetry import configure_logging

    settings = load_settings().settings
    changes = {name: value for name, value in {"port": port, "data_dir": data_dir}.items() if value is not None}
    settings = msgspec.structs.replace(settings, **changes)
    check_binding(settings)
    configure_logging(settings, role="supervisor")

    async def run() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        async with Supervisor(settings, click.echo) as supervisor:
            ready = asyncio.create_task(supervisor.wait_until_ready())
            stopped = asyncio.create_task(stop.wait())
            await asyncio.wait({ready, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if ready.done():
                ready.result()
                click.echo(f"ready        {supervisor.url}")
            await stopped
            click.echo("draining")
            ready.cancel()

    asyncio.run(run())


@click.command()
@click.option("--supervised", is_flag=True, hidden=True, help="Drain when standard input ends.")
@click.option("--listen-fd", type=int, hidden=True, help="An inherited listening socket.")
def api(supervised: bool, listen_fd: int | None) -> None:
    """Start the API alone; MILLSTREAM_REDIS_URL and MILLSTREAM_BLOBS_URL say where the rest is."""
    import_lean("structlog", "httpx", "httpcore", "redis.asyncio")
    from millstream.roles import run_api

    run_api(load_settings().settings, supervised=supervised, listen_fd=listen_fd)


@click.command()
@click.option("--supervised", is_flag=True, hidden=True, help="Drain when standard input ends.")
@click.option("--name", default="worker", show_default=True, help="Name in events and logs.")
@click.option(
    "--steps",
    default="",
    help="Only these steps, comma-separated (parse,chunk,embed,index,finish,erase); by default all but those of "
    "MILLSTREAM_STEPS_ELSEWHERE.",
)
def worker(supervised: bool, name: str, steps: str) -> None:
    """Start a worker alone."""
    import_lean("structlog", "httpx", "httpcore", "redis.asyncio")
    from millstream.roles import run_worker

    run_worker(load_settings().settings, supervised=supervised, name=name, steps=steps)


@click.command()
@click.option("--supervised", is_flag=True, hidden=True, help="Drain when standard input ends.")
def projector(supervised: bool) -> None:
    """Start the projector alone."""
    import_lean("structlog", "httpx", "httpcore", "redis.asyncio")
    from millstream.roles import run_projector

    run_projector(load_settings().settings, supervised=supervised)
