"""A real Redis Cluster on loopback: three masters, each with a replica. Fixtures: `tests.servers.redis_cluster`."""

import contextlib
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from redis import Redis
from redis.exceptions import RedisError

from events.keys import SLOTS
from tests.servers.ports import free_ports
from tests.waiting import poll

MASTERS: Final = 3
NODE_TIMEOUT_MS: Final = 1_500
"""A master that says nothing for so long has failed; 15 s is the server's own default."""

BUS: Final = 10_000
"""So far above a node's port lies the one of the cluster's bus."""

START_S_MAX: Final = 60.0


class ClusterNode:
    """One server of the cluster, `appendfsync always`; may be killed, paused and started again."""

    def __init__(self, binary: str, directory: Path, port: int) -> None:
        self.port = port
        self._binary = binary
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True)

    def start(self) -> None:
        with (self._directory / "redis.log").open("ab") as log:
            self._process = subprocess.Popen([self._binary, *self._arguments()], stdout=log, stderr=log)

    def kill(self) -> None:
        """As a power cut takes a process."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()

    def come_back(self) -> None:
        """Whatever was done to it."""
        if self._process is not None and self._process.poll() is None:
            self.go_on()
        else:
            self.start()

    def cut_off_replicas(self) -> None:
        """Ends their connections: one that is paused makes no other, and gets nothing of what is written then."""
        self.ask("CLIENT", "KILL", "TYPE", "replica")

    def is_master(self) -> bool:
        return _role(self) == "master"

    def pause(self) -> None:
        """As a machine that hangs: connections stay open and nobody answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def ask(self, *command: str | int) -> Any:
        """Raises RedisError."""
        with contextlib.closing(Redis(port=self.port, decode_responses=True, socket_timeout=5)) as client:
            return client.execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py gives it no types

    def says(self, section: str) -> dict[str, Any]:
        with contextlib.closing(Redis(port=self.port, decode_responses=True, socket_timeout=5)) as client:
            found: dict[str, Any] = client.info(section)
            return found

    def _arguments(self) -> list[str]:
        fixed = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._directory), "--save", ""]
        safe = ["--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction"]
        cluster = ["--cluster-enabled", "yes", "--cluster-node-timeout", str(NODE_TIMEOUT_MS)]
        # A replica takes over however long it was paused.
        takes_over = ["--cluster-replica-validity-factor", "0"]
        partly = ["--cluster-require-full-coverage", "no", "--repl-diskless-sync-delay", "0", *takes_over]
        return [*fixed, *safe, *cluster, *partly]


class RedisCluster:
    """Nodes 0 to 2 begin as masters of a third of the slots each, node n + 3 as replica of node n."""

    def __init__(self, binary: str, directory: Path) -> None:
        ports = free_ports(2 * MASTERS, beside=BUS)
        self.nodes = [ClusterNode(binary, directory / str(port), port) for port in ports]

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def start(self) -> None:
        """Returns when every node sees every slot served and every replica follows its master."""
        for node in self.nodes:
            node.start()
        for node in self.nodes:
            _wait(f"node {node.port} answers", partial(_answers, node))
        for number, master in enumerate(self.nodes[:MASTERS]):
            first, last = number * SLOTS // MASTERS, (number + 1) * SLOTS // MASTERS - 1
            master.ask("CLUSTER", "ADDSLOTSRANGE", first, last)
            master.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in self.nodes[1:]:
            node.ask("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port)
        _wait("the nodes know one another", lambda: all(len(self._known(node)) == 2 * MASTERS for node in self.nodes))
        for number, replica in enumerate(self.nodes[MASTERS:]):
            replica.ask("CLUSTER", "REPLICATE", self.nodes[number].ask("CLUSTER", "MYID"))
        self.wait_until_whole()

    def wait_until_whole(self) -> None:
        """Until three masters serve all slots and three replicas follow."""
        _wait("the cluster is whole", self._is_whole)

    def stop(self) -> None:
        for node in self.nodes:
            node.kill()

    def masters(self) -> list[ClusterNode]:
        """Those that answer and say so."""
        return [node for node in self.nodes if _role(node) == "master"]

    def master_of(self, slot: int) -> ClusterNode:
        """As the majority of the nodes that answer has it."""
        ports = [port for node in self.nodes for port in self._owners(node, slot)]
        return next(node for node in self.nodes if node.port == max(set(ports), key=ports.count))

    def replica_of(self, master: ClusterNode) -> ClusterNode:
        followers = [node for node in self.nodes if _role(node) == "slave"]
        return next(node for node in followers if node.says("replication")["master_port"] == master.port)

    def _is_whole(self) -> bool:
        roles = [_role(node) for node in self.nodes]
        if roles.count("master") != MASTERS or roles.count("slave") != MASTERS:
            return False
        served = all("cluster_state:ok" in str(node.ask("CLUSTER", "INFO")) or _is_ok(node) for node in self.nodes)
        masters = self.masters()
        return served and all(
            str(node.says("replication").get("slave0", {}).get("state")) == "online" for node in masters
        )

    def _known(self, node: ClusterNode) -> Sequence[str]:
        return [line for line in _lines(node.ask("CLUSTER", "NODES")) if "handshake" not in line]

    def _owners(self, node: ClusterNode, slot: int) -> Iterator[int]:
        with contextlib.suppress(RedisError):
            for first, last, master, *_ in node.ask("CLUSTER", "SLOTS"):
                if first <= slot <= last:
                    yield int(master[1])


def _answers(node: ClusterNode) -> bool:
    return bool(node.ask("PING"))


def _is_ok(node: ClusterNode) -> bool:
    found = node.ask("CLUSTER", "INFO")
    return isinstance(found, dict) and found.get("cluster_state") == "ok"


def _lines(found: Any) -> list[str]:
    return list(found) if isinstance(found, dict) else [line for line in str(found).splitlines() if line]


def _role(node: ClusterNode) -> str | None:
    try:
        return str(node.says("replication")["role"])
    except RedisError:
        return None


def _wait(what: str, holds: Callable[[], bool]) -> None:
    """A node that does not answer yet says no."""

    def answers_so() -> bool:
        try:
            return holds()
        except RedisError:
            return False

    poll(answers_so, what, START_S_MAX)
