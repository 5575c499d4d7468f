"""Which addresses belong to the public internet. Pure; Python's `is_global` is True for several that do not."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_DENIED_V4: Final = tuple(
    IPv4Network(range_)
    for range_ in (
        "0.0.0.0/8",  # this network; Linux connects 0.0.0.0 to itself
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; a cloud's metadata at 100.100.100.200
        "127.0.0.0/8",
        "168.63.129.16/32",  # a cloud's host, under an address that looks public
        "169.254.0.0/16",  # link-local: metadata of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocol assignments; a cloud's metadata at 192.0.0.192
        "192.0.2.0/24",
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # 6to4 relays, given up
        "192.168.0.0/16",
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and the broadcast
    )
)
"""IANA's registry of special-purpose addresses, and what clouds put behind public ones."""

_PUBLIC_V6: Final = IPv6Network("2000::/3")
"""All that IANA has given out as global unicast; fc00::/7, fe80::/10, fec0::/10, ff00::/8 lie outside."""
_DENIED_V6: Final = tuple(
    IPv6Network(range_)
    for range_ in (
        "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarks
        "2001:db8::/32",
        "2002::/16",  # 6to4: nobody relays it any more, and it names an IPv4 address
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",
    )
)
_NAT64: Final = IPv6Network("64:ff9b::/96")
_COMPATIBLE: Final = IPv6Network("::/96")
_IPV4_MASK: Final = 0xFFFF_FFFF


def is_public(address: Address) -> bool:
    """Whether a stranger may have us call it. An IPv4 address within an IPv6 one is judged as itself."""
    if isinstance(address, IPv6Address):
        inner = embedded(address)
        if inner is not None and not is_public(inner):
            return False
        return _is_public_v6(address, inner)
    return not any(address in network for network in _DENIED_V4)


def reached(address: Address) -> Address:
    """The address that the kernel connects to: `::ffff:10.0.0.1` is 10.0.0.1. A zone (`%eth0`) is left out."""
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or IPv6Address(int(address))
    return address


def embedded(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 address leads to: mapped, 6to4, Teredo, NAT64, IPv4-compatible.

    RFC 4291, 2.5.5; RFC 3056, 2; RFC 4380, 4 (the client's, bits inverted); RFC 6052, 2.1.
    """
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in _NAT64 or address in _COMPATIBLE:
        return IPv4Address(int(address) & _IPV4_MASK)
    return None


def _is_public_v6(address: IPv6Address, inner: IPv4Address | None) -> bool:
    """Of those with a public address within, mapped and NAT64 ones are in use: IPv6-only networks need the latter."""
    if inner is not None and (address.ipv4_mapped is not None or address in _NAT64):
        return True
    if address.scope_id is not None:
        return False
    return address in _PUBLIC_V6 and not any(address in network for network in _DENIED_V6)
