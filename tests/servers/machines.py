"""An installation over machines: Redis with the bucket on one, each role on one of its own with an address and a
directory of its own, and one more for who asks. They share nothing but the network (`tests.servers.namespaces`)."""

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple, Self

from redis import Redis

from tests.faults.mill import PROFILE, Mill, Role
from tests.servers.namespaces import Host, Network
from tests.servers.redis_process import RedisProcess, redis_binary
from tests.servers.s3_gateway import S3Server, start_s3_server, stop_s3_server
from tests.servers.service_process import environment_with

REDIS_PORT: Final = 6379
COMMAND_S_MAX: Final = 120.0


class Machine(NamedTuple):
    """One role on a host of its own."""

    role: Role
    name: str
    host: Host
    mill: Mill

    def start(self, *, failpoints: str = "") -> None:
        """Returns at once."""
        with self.host.namespace.entered():
            self.mill.start(self.role, self.name, failpoints=failpoints, waits=False)

    def wait_ready(self) -> None:
        self.mill.wait_ready(self.name)

    @property
    def pid(self) -> int:
        return self.mill.pid(self.name)


class Machines:
    """A context manager; the thread that entered it stands on the host of who asks. `variables` are settings of every
    role, on top of the mill's profile. `key` is an API key of the scope admin, made before any API starts."""

    def __init__(self, variables: Mapping[str, str] | None = None) -> None:
        self._own = dict(variables or {})
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._network = Network()
            stack.callback(self._network.close)
            self.directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ms-machines-")))
            self._stores = self._network.host()
            stack.enter_context(self._network.host().namespace.entered())
            self.redis = self._started_redis(stack)
            self.s3 = self._started_s3(stack)
            self.key = self.command("keys", "create", "--name", "machines", "--scope", "admin").strip()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def variables(self) -> dict[str, str]:
        """What every role is told."""
        return {
            "MILLSTREAM_REDIS_URL": self.redis_url,
            "MILLSTREAM_BLOBS_URL": f"s3://{self.s3.bucket}/blobs",
            "MILLSTREAM_INDEX_URL": f"s3://{self.s3.bucket}/index",
            "MILLSTREAM_S3_ENDPOINT_URL": self.s3.endpoint_url,
            "MILLSTREAM_S3_ACCESS_KEY": self.s3.access_key,
            "MILLSTREAM_S3_SECRET_KEY": self.s3.secret_key,
            **self._own,
        }

    @property
    def redis_url(self) -> str:
        return f"redis://{self._stores.address}:{REDIS_PORT}"

    def start(self, role: Role, name: str) -> Machine:
        """A new machine; returns before it is ready."""
        host = self._network.host()
        mill = self._stack.enter_context(Mill(self.variables, host=host.address))
        mill.redis_url = self.redis_url
        machine = Machine(role, name, host, mill)
        machine.start()
        return machine

    def command(self, *words: str) -> str:
        """What `millstream …` prints where somebody asks, with the settings of the roles; it has to succeed."""
        done = subprocess.run(
            [sys.executable, "-m", "millstream", *words],
            env=environment_with({**PROFILE, **self.variables, "MILLSTREAM_DATA_DIR": str(self.directory / "asking")}),
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_S_MAX,
            check=False,
        )
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def projectors(self) -> list[str]:
        """Who holds the lease on the views of each partition now, `projector@host-pid-chance`; nobody is left out."""
        with Redis(unix_socket_path=self.redis.url.removeprefix("unix://"), decode_responses=True) as client:
            seconds, microseconds = client.time()
            found = [client.hmget(key, "holder", "until") for key in client.scan_iter("ms:*:checkpoint:*")]
        now_ms = seconds * 1_000 + microseconds // 1_000
        return [holder for holder, until_ms in found if holder and int(until_ms) > now_ms]

    def _started_redis(self, stack: ExitStack) -> RedisProcess:
        (folder := self.directory / "redis").mkdir()
        # Nobody else is on this network.
        listening = ("--port", str(REDIS_PORT), "--bind", self._stores.address, "--protected-mode", "no")
        redis = RedisProcess(redis_binary(), folder, *listening)
        with self._stores.namespace.entered():
            redis.start()
        stack.callback(redis.stop)
        return redis

    def _started_s3(self, stack: ExitStack) -> S3Server:
        (folder := self.directory / "s3").mkdir()
        with self._stores.namespace.entered():
            process, server = start_s3_server(folder, self._stores.address)
        stack.callback(stop_s3_server, process)
        return server
