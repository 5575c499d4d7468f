"""Hosts of their own on one machine: network namespaces behind a bridge, each with a cable that can be pulled.

Nothing is reached from outside and nothing of the machine's own network is changed: bridge and cables lie within
namespaces, which end with the last process and descriptor that hold them. Linux, root and iproute2 are needed.
"""

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Final, NamedTuple

import pytest

CLONE_NEWNET: Final = 0x40000000
"""unshare(2), setns(2). `os` has both from Python 3.12 on."""

OWN: Final = "/proc/thread-self/ns/net"
SUBNET: Final = "10.77.0"
BRIDGE: Final = "switch"
CARD: Final = "eth0"


class Namespace:
    """A network with loopback and nothing else, held by a descriptor."""

    def __init__(self) -> None:
        with _coming_back():
            _unshare()
            self._descriptor = os.open(OWN, os.O_RDONLY)
        self.ip("link", "set", "lo", "up")

    @property
    def path(self) -> str:
        """What iproute2 takes for its name."""
        return f"/proc/{os.getpid()}/fd/{self._descriptor}"

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Sockets, threads and processes that this thread makes meanwhile belong here and stay here."""
        with _coming_back():
            _enter(self._descriptor)
            yield

    def ip(self, *words: str) -> None:
        with self.entered():
            done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"

    def close(self) -> None:
        os.close(self._descriptor)


class Host(NamedTuple):
    """A namespace with an address, and its port on the bridge."""

    address: str
    namespace: Namespace
    switch: Namespace
    port: str

    def cut(self) -> None:
        """As a pulled cable does: what is sent gets lost, and nobody is told."""
        self.switch.ip("link", "set", self.port, "down")

    def mend(self) -> None:
        self.switch.ip("link", "set", self.port, "up")


class Network:
    """Hosts that reach one another and nobody else."""

    def __init__(self) -> None:
        skip_without_namespaces()
        self._switch = Namespace()
        self._namespaces = [self._switch]
        self._numbers = count(1)
        self._switch.ip("link", "add", BRIDGE, "type", "bridge")
        self._switch.ip("link", "set", BRIDGE, "up")

    def host(self) -> Host:
        """One more, plugged in."""
        number, namespace = next(self._numbers), Namespace()
        self._namespaces.append(namespace)
        host = Host(f"{SUBNET}.{number}", namespace, self._switch, f"port{number}")
        cable = ("type", "veth", "peer", "name", CARD, "netns", namespace.path)
        self._switch.ip("link", "add", host.port, *cable)
        self._switch.ip("link", "set", host.port, "master", BRIDGE, "up")
        namespace.ip("address", "add", f"{host.address}/24", "dev", CARD)
        namespace.ip("link", "set", CARD, "up")
        return host

    def close(self) -> None:
        """Whatever still runs within keeps its namespace, without a cable."""
        for namespace in self._namespaces:
            namespace.close()


def skip_without_namespaces() -> None:
    """Says what is missing. Whoever is root where CI=true is expected to have everything: fails there."""
    if sys.platform != "linux":
        pytest.skip("network namespaces are Linux'")
    try:
        with _coming_back():
            _unshare()
    except PermissionError:
        pytest.skip("network namespaces need root (CAP_SYS_ADMIN)")
    if shutil.which("ip") is None:
        message = "`ip` is not installed: apt-get install iproute2"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)


@contextmanager
def _coming_back() -> Iterator[None]:
    before = os.open(OWN, os.O_RDONLY)
    try:
        yield
    finally:
        _enter(before)
        os.close(before)


def _unshare() -> None:
    _checked(ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET))


def _enter(descriptor: int) -> None:
    _checked(ctypes.CDLL(None, use_errno=True).setns(descriptor, CLONE_NEWNET))


def _checked(answer: int) -> None:
    if answer != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
