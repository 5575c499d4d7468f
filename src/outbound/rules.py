"""What may be called: public addresses at the usual ports, and what the operator allows besides. Pure."""

import ipaddress
from typing import Final

import msgspec

from outbound.addresses import Address, Network, is_public, reached
from outbound.errors import ADDRESS_DENIED, UrlRefused
from outbound.urls import Place, parse_url

PORTS_DEFAULT: Final = frozenset({80, 443})


_ALLOW: Final = "an operator names it in MILLSTREAM_OUTBOUND_ALLOW where it is meant"
_PORTS: Final = "an operator names it in MILLSTREAM_OUTBOUND_PORTS where it is meant"


class Rules(msgspec.Struct, frozen=True):
    """`ports` holds for public addresses; `networks` are free at any port, `places` at theirs, whatever they are."""

    ports: frozenset[int] = PORTS_DEFAULT
    networks: tuple[Network, ...] = ()
    places: frozenset[Place] = frozenset()

    def check(self, place: Place, addresses: tuple[Address, ...]) -> None:
        """Raises UrlRefused(`url_address_denied`) where one of the addresses may not be called; so mixed answers are
        refused as a whole, and no order of answers helps a hostile name."""
        for address in addresses:
            self._check_one(place, address)

    def _check_one(self, place: Place, address: Address) -> None:
        if self._is_allowed(place, reached(address)):
            return
        if not is_public(address):
            raise UrlRefused(ADDRESS_DENIED, f"{place.host} is no address of the public internet; {_ALLOW}")
        if place.port not in self.ports:
            raise UrlRefused(ADDRESS_DENIED, f"port {place.port} may not be called; {_PORTS}")

    def _is_allowed(self, place: Place, address: Address) -> bool:
        if self.places & {place, Place(address, place.port)}:
            return True
        return any(address in network for network in self.networks)


def rules_of(allow: str, ports: str) -> Rules:
    """From settings: `allow` is `10.0.0.0/8, 127.0.0.1:9000, minio:9000`, `ports` is `80,443`. Raises ValueError."""
    networks: list[Network] = []
    places: set[Place] = set()
    for entry in _entries(allow):
        network = _network(entry)
        if network is not None:
            networks.append(network)
        else:
            places.add(_place(entry))
    return Rules(frozenset(_port(entry) for entry in _entries(ports)), tuple(networks), frozenset(places))


def _entries(text: str) -> list[str]:
    return [entry.strip() for entry in text.split(",") if entry.strip()]


def _network(entry: str) -> Network | None:
    try:
        return ipaddress.ip_network(entry)
    except ValueError:
        if "/" in entry:
            raise
        return None


def _place(entry: str) -> Place:
    host, colon, port = entry.rpartition(":")
    if not colon or not host:
        raise ValueError(f"{entry!r} is no range of addresses (10.0.0.0/8) and no host:port")
    try:
        return Place(parse_url(f"http://{host}").place.host, _port(port))
    except UrlRefused as error:
        raise ValueError(f"{entry!r} names no host: {error.detail}") from error


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= 65_535):
        raise ValueError(f"{text!r} is no port")
    return int(text)
