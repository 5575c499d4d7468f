"""`millstream up`: an embedded Redis where none is configured, and the three roles as processes that are kept alive."""

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Callable
from typing import Any, Self

import httpx
import msgspec
import structlog

from millstream.child import Child, ChildSpec, backoff_s
from millstream.embedded import EmbeddedRedis
from millstream.errors import ExitCode, Stop
from millstream.settings import ENVIRONMENT_PREFIX, Settings

_log = structlog.get_logger()

READY_S_MAX = 60.0
LISTEN_BACKLOG = 2_048
KILL_MARGIN_S = 1.5
"""On top of the drain time; both and stopping Redis stay within the 10 s that an init system gives by default."""


class Supervisor:
    """Everything on one machine; an async context manager that has started all on entry and stopped all on exit."""

    def __init__(self, settings: Settings, announce: Callable[[str], None]) -> None:
        self._settings = settings
        self._announce = announce
        self._redis: EmbeddedRedis | None = None
        self._listener: socket.socket | None = None
        self._children: list[Child] = []
        self._keepers: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()
        self._grpc_port = settings.grpc_port

    @property
    def url(self) -> str:
        """Where the API is to be reached."""
        host = self._settings.host
        shown = "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104  compared, not bound
        return f"http://{f'[{shown}]' if ':' in shown else shown}:{self._port}"

    @property
    def pids(self) -> dict[str, int]:
        """Process ids by name, for tests and for operators."""
        own = {child.spec.name: child.pid for child in self._children if child.is_running}
        return own | ({"redis": self._redis.pid} if self._redis else {})

    async def __aenter__(self) -> Self:
        self._listener = listen(self._settings.host, self._settings.port)
        try:
            self._grpc_port = _free_port(self._settings)
            await self._start_redis()
            await self._check_installation()
            self._start_children()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Roles first, Redis last: a draining worker still has results to append."""
        self._stopping.set()
        within_s = self._settings.drain_s_max + KILL_MARGIN_S
        await asyncio.gather(*(child.stop(within_s) for child in self._children))
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        if self._redis is not None:
            await self._redis.__aexit__()
        if self._listener is not None:
            self._listener.close()

    async def wait_until_ready(self) -> None:
        """Returns when the API says that all it depends on answers; raises Stop after 60 s."""
        deadline = asyncio.get_running_loop().time() + READY_S_MAX
        answer = "no answer"
        async with httpx.AsyncClient(base_url=self.url, timeout=2, trust_env=False) as client:
            while asyncio.get_running_loop().time() < deadline:
                with contextlib.suppress(httpx.HTTPError):
                    response = await client.get("/readyz")
                    if response.status_code == httpx.codes.OK:
                        return
                    answer = response.text
                await asyncio.sleep(0.05)
        raise Stop(
            f"the service did not get ready within {READY_S_MAX:.0f} s: {answer}", exit_code=ExitCode.UNREACHABLE
        )

    @property
    def _served_at(self) -> str:
        return self.url if self._grpc_port < 0 else f"{self.url}, gRPC on port {self._grpc_port}"

    @property
    def _port(self) -> int:
        return int(self._listener.getsockname()[1]) if self._listener else self._settings.port

    async def _start_redis(self) -> None:
        if self._settings.redis_url:
            return
        redis = EmbeddedRedis(self._settings.data_path)
        await redis.__aenter__()
        self._redis = redis
        self._announce(f"{'redis':<12} pid {redis.pid:<8}  embedded, data in {self._settings.data_path / 'redis'}")
        self._keepers.append(asyncio.create_task(self._keep_redis(redis)))

    async def _check_installation(self) -> None:
        """Here and not in the roles alone: a Redis that they refuse would have them started again and again."""
        from millstream.installation import check_installation

        await check_installation(self._reachable_settings())

    async def _keep_redis(self, redis: EmbeddedRedis) -> None:
        failures = 0
        while not self._stopping.is_set():
            code = await redis.wait()
            if self._stopping.is_set():
                return
            failures += 1
            _log.warning("process ended", process="redis", exit_code=code, restart_in_s=backoff_s(failures))
            await asyncio.sleep(backoff_s(failures))
            try:
                await redis.start()
            except Stop as stop:
                _log.error("redis did not start again", reason=stop.what, hint=stop.hint)

    def _start_children(self) -> None:
        environment = self._environment()
        assert self._listener is not None  # noqa: S101  bound on entry
        fd = self._listener.fileno()
        workers = worker_count(self._settings)
        port = self._settings.metrics_port
        specs = [
            ChildSpec(
                name="api",
                arguments=("api", "--supervised", "--listen-fd", str(fd)),
                detail=self._served_at,
                inherited_fds=(fd,),
            ),
            ChildSpec(name="projector", arguments=("projector", "--supervised")),
            *(
                ChildSpec(name=f"worker-{n}", arguments=("worker", "--supervised", "--name", f"worker-{n}"))
                for n in range(1, workers + 1)
            ),
        ]
        for place, spec in enumerate(specs):
            own = {f"{ENVIRONMENT_PREFIX}METRICS_PORT": str(port + place if port else 0)}
            child = Child(spec, environment | own, self._announce)
            self._children.append(child)
            self._keepers.append(asyncio.create_task(child.keep_running()))

    def _reachable_settings(self) -> Settings:
        """The settings with what was only found out at start: the free ports, the embedded Redis."""
        settings = msgspec.structs.replace(
            self._settings, data_dir=str(self._settings.data_path), port=self._port, grpc_port=self._grpc_port
        )
        return settings if self._redis is None else msgspec.structs.replace(settings, redis_url=self._redis.url)

    def _environment(self) -> dict[str, str]:
        return {
            # One BLAS thread a process: four on two cores made the local model ten times slower.
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            **{name: value for name, value in os.environ.items() if not name.startswith(ENVIRONMENT_PREFIX)},
            **environment_of(self._reachable_settings()),
        }


def _free_port(settings: Settings) -> int:
    """Where gRPC will listen, the same after each restart of the API; -1 is nowhere. gRPC takes no socket that is bound
    already, so that this one is let go again. Raises Stop where the port is in use."""
    if settings.grpc_port < 0:
        return settings.grpc_port
    with listen(settings.host, settings.grpc_port, "MILLSTREAM_GRPC_PORT") as found:
        return int(found.getsockname()[1])


def environment_of(settings: Settings) -> dict[str, str]:
    """The settings as variables, so that a child reads exactly what its parent decided."""
    return {f"{ENVIRONMENT_PREFIX}{name.upper()}": str(getattr(settings, name)) for name in settings.__struct_fields__}


def worker_count(settings: Settings) -> int:
    """Worker processes to start: as set, else one a core, at most 4 (parsing children come on top)."""
    return settings.workers or max(1, min(4, os.cpu_count() or 1))


def listen(host: str, port: int, setting: str = "MILLSTREAM_PORT") -> socket.socket:
    """The socket is bound here and inherited, so that clients wait in its queue while the API restarts. Raises Stop."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return _listener(family, address)
    except socket.gaierror as error:
        raise Stop(
            f"{host} is no address of this machine: {error.strerror}",
            hint="set MILLSTREAM_HOST",
            exit_code=ExitCode.CONFIGURATION,
        ) from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise Stop(
                f"port {port} on {host} is in use",
                hint=f"stop what listens there, or choose another with {setting} (0 takes a free one)",
                exit_code=ExitCode.UNREACHABLE,
            ) from None
        raise Stop(f"cannot listen on {host}:{port}: {error.strerror}", exit_code=ExitCode.UNREACHABLE) from None


def _listener(family: socket.AddressFamily, address: Any) -> socket.socket:
    # Named as TCP: event loops turn Nagle's algorithm off only where they see it, else answers wait 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(LISTEN_BACKLOG)
        listener.set_inheritable(True)
    except OSError:
        listener.close()
        raise
    return listener
