"""What belongs to the public internet, and what only looks as if it did."""

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbound.addresses import Address, embedded, is_public, reached

PRIVATE: Final = (
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.255"),  # noqa: S104  judged, not bound
    *("168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.0.9", "192.0.0.10"),
    *("192.0.0.192", "192.0.2.1", "192.31.196.1", "192.52.193.1", "192.88.99.1", "192.168.1.1", "192.175.48.1"),
    *("198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1"),
    *("255.255.255.255", "::", "::1", "::127.0.0.1", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:10.1.2.3"),
    *("64:ff9b::a9fe:a9fe", "64:ff9b::7f00:1", "64:ff9b:1::808:808", "100::1", "2001::1", "2001:db8::1"),
    *("2002:7f00:1::", "2002:808:808::", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1"),
    *("ff02::1", "2001:0:4136:e378:8000:63bf:80ff:fffe", "2620:4f:8000::1"),
)
PUBLIC: Final = (
    *("1.1.1.1", "8.8.8.8", "93.184.215.14", "172.15.255.255", "172.32.0.0", "100.63.255.255", "100.128.0.0"),
    *("223.255.255.255", "2606:4700:4700::1111", "2a00:1450:4001:81b::200e", "::ffff:8.8.8.8", "64:ff9b::808:808"),
)


@pytest.mark.parametrize("text", PRIVATE)
def test_an_address_that_is_not_of_the_internet_is_not_public(text: str) -> None:
    assert not is_public(ip_address(text))


@pytest.mark.parametrize("text", PUBLIC)
def test_an_address_of_the_internet_is_public(text: str) -> None:
    assert is_public(ip_address(text))


@given(st.ip_addresses())
def test_nothing_is_public_that_python_calls_local(address: Address) -> None:
    """The other way round it would be wrong: `is_global` holds for 192.0.0.9, 64:ff9b::a9fe:a9fe and others."""
    inner = embedded(address) if isinstance(address, IPv6Address) else None
    judged = inner or address
    if not judged.is_global or judged.is_multicast or judged.is_reserved or judged.is_loopback or judged.is_link_local:
        assert not is_public(address)


@given(st.ip_addresses(v=4), st.sampled_from(["::ffff:0:0", "64:ff9b::", "2002::", "::", "2001::"]))
def test_an_address_within_another_is_judged_as_itself(inner: IPv4Address, around: str) -> None:
    outer = _wrapped(inner, IPv6Address(around))

    assert embedded(outer) == inner
    assert not (is_public(outer) and not is_public(inner))


def test_a_mapped_address_is_reached_as_the_one_within() -> None:
    assert reached(IPv6Address("::ffff:10.0.0.1")) == IPv4Address("10.0.0.1")
    assert reached(IPv6Address("fe80::1%eth0")) == IPv6Address("fe80::1")
    assert not is_public(IPv6Address("2606:4700::1%eth0"))


def _wrapped(inner: IPv4Address, around: IPv6Address) -> IPv6Address:
    match str(around):
        case "2002::":
            return IPv6Address(int(around) | int(inner) << 80)
        case "2001::":
            return IPv6Address(int(around) | (int(inner) ^ 0xFFFF_FFFF))
        case _:
            return IPv6Address(int(around) | int(inner))
