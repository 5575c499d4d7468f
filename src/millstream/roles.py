"""Each role as a process: signals, the end of its supervisor, drain."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from events.failpoints import Failpoints, UnknownFailpoint, arm, parse_rules
from millstream.admission.door import refuse_open
from millstream.collecting import collect_seldom, import_for_good
from millstream.errors import ExitCode, Stop
from millstream.settings import Settings
from millstream.telemetry import configure_logging

_log = structlog.get_logger()


def check_binding(settings: Settings) -> None:
    """What can be said before Redis is asked for keys: beyond loopback they may not be switched off, and an
    installation that does not exist yet has none. Raises Stop."""
    is_new = not settings.redis_url and not (settings.data_path / "redis").exists()
    if settings.auth == "open" or is_new:
        refuse_open(settings.host, settings.auth, 0, open_beyond_loopback=settings.open_beyond_loopback)


def arm_failpoints(settings: Settings) -> None:
    """Raises Stop for rules that cannot be read, and for any in production."""
    if not settings.failpoints:
        return
    if settings.production:
        raise Stop(
            "refusing to start: failpoints let this process die on purpose, and it is in production",
            hint="unset MILLSTREAM_FAILPOINTS, or MILLSTREAM_PRODUCTION where this is a test",
            exit_code=ExitCode.CONFIGURATION,
        )
    try:
        rules = parse_rules(settings.failpoints)
    except UnknownFailpoint as error:
        raise Stop(str(error), hint="correct MILLSTREAM_FAILPOINTS", exit_code=ExitCode.CONFIGURATION) from None
    arm(Failpoints(rules, Path(settings.failpoints_dir) if settings.failpoints_dir else None))


def run_api(settings: Settings, *, supervised: bool, listen_fd: int | None) -> None:
    """Serves HTTP until told to stop."""
    check_binding(settings)
    configure_logging(settings, role="api")
    arm_failpoints(settings)
    inherited = None if listen_fd is None else socket.socket(fileno=listen_fd)

    async def serve(stop: asyncio.Event) -> None:
        import_for_good("millstream.api_server")
        from millstream.api_server import serve_api

        collect_seldom()
        await serve_api(settings, stop, inherited=inherited)

    _run(serve, supervised=supervised)


def run_worker(settings: Settings, *, supervised: bool, name: str, steps: str) -> None:
    """Works through the inboxes until told to stop, then drains."""
    configure_logging(settings, role=name)
    arm_failpoints(settings)
    # Before there are threads, or a child: they are as nice as we were when they began.
    os.nice(settings.worker_niceness)

    async def work(stop: asyncio.Event) -> None:
        import_for_good("millstream.bootstrap")
        from millstream.bootstrap import running_worker
        from processors.priority import set_session_back

        collect_seldom()
        await set_session_back()
        await running_worker(settings, stop, name=name, steps=steps)

    _run(work, supervised=supervised)


def run_projector(settings: Settings, *, supervised: bool) -> None:
    """Folds events into views until told to stop."""
    configure_logging(settings, role="projector")
    arm_failpoints(settings)

    async def project(stop: asyncio.Event) -> None:
        import_for_good("millstream.bootstrap")
        from millstream.bootstrap import running_projector

        collect_seldom()
        await running_projector(settings, stop)

    _run(project, supervised=supervised)


def _run(role: Callable[[asyncio.Event], Awaitable[None]], *, supervised: bool) -> None:
    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        if supervised:
            loop.add_reader(sys.stdin.fileno(), _on_supervisor_gone, stop, loop)
        _log.info("started", pid=os.getpid())
        await role(stop)
        _log.info("stopped")
        _leave()

    with contextlib.suppress(KeyboardInterrupt):
        _event_loop_run(main)


def _leave() -> None:
    """Everything is closed. A thread may still be importing a library (a second, or several): the interpreter
    would wait for it at its end, past the 10 s that an init system gives."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(ExitCode.DONE)


def _on_supervisor_gone(stop: asyncio.Event, loop: asyncio.AbstractEventLoop) -> None:
    """Our standard input is a pipe that the supervisor holds open; its end means that the supervisor is gone."""
    if os.read(sys.stdin.fileno(), 1) == b"":
        loop.remove_reader(sys.stdin.fileno())
        stop.set()


def _event_loop_run(main: Callable[[], Awaitable[None]]) -> None:
    import uvloop

    async def as_coroutine() -> None:
        await main()

    uvloop.run(as_coroutine())
