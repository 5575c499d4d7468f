"""Nothing is connected to that was not checked, and nothing that is denied."""

import asyncio
from collections.abc import Sequence

import pytest

from outbound.errors import ADDRESS_DENIED, UNRESOLVABLE, FetchFailed, OutboundError
from outbound.guard import Guard
from outbound.memory_resolver import MemoryResolver
from outbound.rules import rules_of
from tests.outbound_world import NotedNetwork, backend_over, guard_over

DENIED = (
    *("127.0.0.1", "127.1", "0x7f000001", "2130706433", "0177.0.0.1", "0", "①②⑦.⓪.⓪.①", "localhost", "localhost."),
    *("api.localhost", "LOCALHOST", "[::1]", "[::ffff:127.0.0.1]", "[::127.0.0.1]", "10.1.2.3", "172.16.0.1"),
    *("192.168.0.1", "100.64.0.1", "169.254.169.254", "[fd00:ec2::254]", "192.0.0.8", "198.18.0.1", "224.0.0.1"),
    *("240.0.0.1", "255.255.255.255", "[fe80::1%25eth0]", "[fe80::1%eth0]", "[64:ff9b::a9fe:a9fe]", "[2002:7f00:1::]"),
    *("[fec0::1]", "[ff02::1]", "mixed.example", "inside.example", "metadata.google.internal", "8.8.8.8:22"),
)
NAMES = {
    "good.example": ["93.184.215.14", "2606:4700::1"],
    "mixed.example": ["93.184.215.14", "::1"],
    "inside.example": ["10.0.0.7"],
    "metadata.google.internal": ["169.254.169.254"],
    "many.example": [f"93.184.{number // 250}.{number % 250}" for number in range(1_000)],
    "broken.example": ["no address"],
}


@pytest.mark.parametrize("host", DENIED)
async def test_a_denied_host_is_refused_and_never_connected_to(host: str) -> None:
    guard, network = guard_over(NAMES), NotedNetwork()

    with pytest.raises(OutboundError, match=r"MILLSTREAM_OUTBOUND_|with a zone") as refused:
        await guard.check_url(f"http://{host}/")
    assert refused.value.code == ADDRESS_DENIED

    with pytest.raises(OutboundError) as refused:
        await backend_over(guard, network).connect_tcp(_plain(host), _port(host))
    assert refused.value.code == ADDRESS_DENIED
    assert network.connected == []


@pytest.mark.parametrize("host", ["redis", "minio", "nowhere.example", "many.example", "broken.example"])
async def test_a_name_without_addresses_that_could_be_checked_is_refused(host: str) -> None:
    with pytest.raises(OutboundError) as refused:
        await guard_over(NAMES).check_url(f"http://{host}/")
    assert refused.value.code == UNRESOLVABLE
    assert not refused.value.is_permanent


async def test_a_resolver_that_keeps_silent_is_waited_for_until_the_deadline() -> None:
    class Silent:
        async def resolve(self, name: str) -> Sequence[str]:
            await asyncio.Event().wait()
            raise AssertionError(name)

    with pytest.raises(OutboundError) as refused:
        await Guard(rules_of("", "80"), Silent(), resolve_s_max=0.01).check_url("http://slow.example/")
    assert refused.value.code == UNRESOLVABLE


async def test_each_address_of_a_name_is_tried_and_nothing_else() -> None:
    network = NotedNetwork()

    with pytest.raises(FetchFailed):
        await backend_over(guard_over(NAMES), network).connect_tcp("good.example", 443)

    assert network.connected == ["93.184.215.14:443", "2606:4700::1:443"]


async def test_a_name_that_changes_its_answer_is_judged_by_the_answer_that_is_used() -> None:
    resolver, network = MemoryResolver({"flip.example": ["93.184.215.14"]}), NotedNetwork()
    guard = Guard(rules_of("", "80"), resolver)
    await guard.check_url("http://flip.example/")
    resolver.answers["flip.example"] = ["127.0.0.1"]

    with pytest.raises(OutboundError) as refused:
        await backend_over(guard, network).connect_tcp("flip.example", 80)

    assert refused.value.code == ADDRESS_DENIED
    assert network.connected == []


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "localhost"])
async def test_names_are_judged_alike_as_bytes_and_as_text(host: str) -> None:
    network = NotedNetwork()
    backend = backend_over(guard_over(NAMES), network)

    for form in (host, host.encode()):
        with pytest.raises(OutboundError):
            await backend.connect_tcp(form, 80)  # type: ignore[arg-type]  # what httpcore's types do not tell
    assert network.connected == []


@pytest.mark.parametrize(
    ("allow", "url", "is_allowed"),
    [
        ("127.0.0.0/8", "http://127.0.0.1:9000/", True),
        ("127.0.0.0/8", "http://localhost:9000/", True),
        ("127.0.0.0/8", "http://[::ffff:127.0.0.1]/", True),
        ("127.0.0.0/8", "http://10.0.0.1/", False),
        ("127.0.0.1:9000", "http://127.0.0.1:9000/", True),
        ("127.0.0.1:9000", "http://127.0.0.1:9001/", False),
        ("10.0.0.7", "http://inside.example/", True),
        ("inside.example:9000", "http://inside.example:9000/", True),
        ("inside.example:9000", "http://10.0.0.7:9000/", False),
        ("10.0.0.0/8", "http://mixed.example/", False),
        ("fd00::/8, [::1]:9000", "http://[::1]:9000/", True),
        ("fd00::/8, [::1]:9000", "http://[fd00::1]/", True),
    ],
)
async def test_what_the_operator_allows_may_be_called_and_nothing_beside_it(
    allow: str, url: str, is_allowed: bool
) -> None:
    guard = guard_over(NAMES, allow=allow)
    if is_allowed:
        await guard.check_url(url)
        return
    with pytest.raises(OutboundError) as refused:
        await guard.check_url(url)
    assert refused.value.code == ADDRESS_DENIED


@pytest.mark.parametrize("allow", ["10.0.0.1/8", "example.com", "example.com:x", "example.com:0", ":80", "a b:80"])
def test_a_list_of_what_is_allowed_is_refused_where_it_says_nothing_clear(allow: str) -> None:
    with pytest.raises(ValueError):
        rules_of(allow, "80")


@pytest.mark.parametrize("ports", ["http", "0", "65536", "-1", "8²"])
def test_a_port_is_a_number(ports: str) -> None:
    with pytest.raises(ValueError):
        rules_of("", ports)


def _plain(host: str) -> str:
    return host.rsplit(":", 1)[0] if host.endswith(":22") else host.strip("[]")


def _port(host: str) -> int:
    return 22 if host.endswith(":22") else 80
