"""The host of a URL in its one form: an address, however it is written, or a name in ASCII. Pure."""

import ipaddress
import re
import unicodedata
from ipaddress import IPv4Address, IPv6Address
from typing import Final

import idna

from outbound.addresses import Address
from outbound.errors import ADDRESS_DENIED, URL_INVALID, UrlRefused

NAME_CHARACTERS_MAX: Final = 253
_LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER: Final = re.compile(r"0x[0-9a-f]*|[0-9]+")
_IPV4_PARTS_MAX: Final = 4
_IPV4_END: Final = 1 << 32


def host_of(text: str) -> Address | str:
    """`127.1`, `0x7f000001`, `①②⑦.⓪.⓪.①` are addresses, as they are for whoever connects; `Bücher.DE.` is a name.

    Raises UrlRefused.
    """
    if text.startswith("["):
        return _ipv6(text)
    plain = unicodedata.normalize("NFKC", text).replace("。", ".").lower()
    plain = plain.removesuffix(".")
    last = plain.rsplit(".", 1)[-1]
    # WHATWG URL, "ends in a number checker": no name ends in a number, so that no resolver gets to read one as address.
    return _ipv4(plain) if _NUMBER.fullmatch(last) else _name(plain)


def _ipv6(text: str) -> IPv6Address:
    if not text.endswith("]"):
        raise _refused(text)
    inner = text[1:-1]
    if "%" in inner:
        raise UrlRefused(ADDRESS_DENIED, "an address with a zone is one of this machine's own networks")
    try:
        return IPv6Address(inner)
    except ipaddress.AddressValueError as error:
        raise _refused(text) from error


def _ipv4(text: str) -> IPv4Address:
    """WHATWG URL, "IPv4 parser": one to four parts, each decimal, octal (`0…`) or hexadecimal (`0x…`), the last one
    filling what is left."""
    parts = [_number(part) for part in text.split(".")]
    *first, last = parts
    if len(parts) > _IPV4_PARTS_MAX or any(part > 255 for part in first) or last >= _IPV4_END >> 8 * len(first):
        raise _refused(text)
    return IPv4Address(last + sum(part << 8 * (3 - place) for place, part in enumerate(first)))


def _number(text: str) -> int:
    try:
        if text.startswith("0x"):
            return int(text[2:] or "0", 16)
        return int(text, 8 if text.startswith("0") and len(text) > 1 else 10)
    except ValueError as error:
        raise _refused(text) from error


def _name(text: str) -> str:
    try:
        name = text if text.isascii() else idna.encode(text, uts46=True).decode("ascii")
    except idna.IDNAError as error:
        raise _refused(text) from error
    if len(name) > NAME_CHARACTERS_MAX or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise _refused(text)
    return name


def _refused(text: str) -> UrlRefused:
    return UrlRefused(URL_INVALID, f"{text[:80]!r} is no name of a host and no address")
