"""A primary, its replica and three Sentinels on loopback, which agree on a fail-over within seconds."""

import contextlib
import signal
import subprocess
from pathlib import Path
from typing import Any, Final

from redis import Redis
from redis.exceptions import RedisError

from tests.servers.ports import free_ports
from tests.waiting import poll

SERVICE: Final = "mill"
SENTINELS: Final = 3
DOWN_MS: Final = 2_000
"""A busy machine is silent for a second; a primary that is taken for dead too early goes on beside its successor."""

START_S_MAX: Final = 60.0


class RedisWithSentinels:
    """Two servers, `appendfsync always`; the first one begins as primary."""

    def __init__(self, binary: str, directory: Path) -> None:
        self._binary = binary
        self._directory = directory
        self.ports = free_ports(2)
        self._sentinels = free_ports(SENTINELS)
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    @property
    def url(self) -> str:
        return f"redis+sentinel://{','.join(f'127.0.0.1:{port}' for port in self._sentinels)}/{SERVICE}"

    def start(self) -> None:
        """Returns when the replica follows and the Sentinels know it and one another."""
        primary, replica = self.ports
        self.start_server(primary)
        self.start_server(replica, "--replicaof", f"127.0.0.1 {primary}")
        poll(self.is_replicating, "it follows", START_S_MAX)
        for port in self._sentinels:
            self._start_sentinel(port, primary)
        poll(lambda: all(map(self._knows_all, self._sentinels)), "the Sentinels know one another", START_S_MAX)

    def start_server(self, port: int, *options: str) -> None:
        directory = self._directory / str(port)
        directory.mkdir(exist_ok=True)
        fixed = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory), "--save", ""]
        safe = ["--appendonly", "yes", "--appendfsync", "always", "--repl-diskless-sync-delay", "0"]
        self._run(port, directory, [*fixed, *safe, *options])

    def kill(self, port: int) -> None:
        self._processes[port].send_signal(signal.SIGKILL)
        self._processes[port].wait()

    def pause(self, port: int) -> None:
        """As a machine that hangs."""
        self._processes[port].send_signal(signal.SIGSTOP)

    def go_on(self, port: int) -> None:
        self._processes[port].send_signal(signal.SIGCONT)

    def ask(self, port: int, *command: str | int) -> Any:
        """Raises RedisError."""
        with contextlib.closing(Redis(port=port, decode_responses=True, socket_timeout=5)) as client:
            return client.execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py gives it no types

    def is_primary(self, port: int) -> bool:
        return bool(self._tells(port, "replication").get("role") == "master")

    def agree_on(self, port: int) -> bool:
        """Whether every Sentinel names this primary and thinks that it is well."""
        return all(
            (told := self._tells(sentinel, "sentinel", "master0")).get("address") == f"127.0.0.1:{port}"
            and told.get("status") == "ok"
            for sentinel in self._sentinels
        )

    def is_replicating(self) -> bool:
        return any(self._tells(port, "replication", "slave0").get("state") == "online" for port in self.ports)

    def stop(self) -> None:
        for port in self._processes:
            self.kill(port)

    def _start_sentinel(self, port: int, primary: int) -> None:
        directory = self._directory / str(port)
        directory.mkdir()
        settings = directory / "sentinel.conf"
        settings.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {directory}\n"
            f"sentinel monitor {SERVICE} 127.0.0.1 {primary} 2\n"
            f"sentinel down-after-milliseconds {SERVICE} {DOWN_MS}\n"
            f"sentinel failover-timeout {SERVICE} 10000\n"
        )
        self._run(port, directory, [str(settings), "--sentinel"])

    def _run(self, port: int, directory: Path, arguments: list[str]) -> None:
        with (directory / "redis.log").open("ab") as log:
            self._processes[port] = subprocess.Popen([self._binary, *arguments], stdout=log, stderr=log)
        poll(lambda: bool(self._tells(port, "server")), f"{port} answers", START_S_MAX)

    def _knows_all(self, sentinel: int) -> bool:
        told = self._tells(sentinel, "sentinel", "master0")
        return (told.get("slaves"), told.get("sentinels")) == (1, SENTINELS)

    def _tells(self, port: int, section: str, field: str | None = None) -> dict[str, Any]:
        """Nothing where nobody answers."""
        with contextlib.closing(Redis(port=port, decode_responses=True, socket_timeout=5)) as client:
            try:
                found: dict[str, Any] = client.info(section)
            except RedisError:
                return {}
        return found if field is None else dict(found.get(field, {}))
