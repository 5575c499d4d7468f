"""The URLs that we call: http or https, a host, a port, what to ask for. No credentials, no fragment. Pure."""

import re
from typing import Final
from urllib.parse import quote, urljoin

import msgspec

from outbound.addresses import Address
from outbound.errors import SCHEME_NOT_ALLOWED, URL_INVALID, UrlRefused
from outbound.hosts import host_of

URL_CHARACTERS_MAX: Final = 2_048
_PORTS: Final = {"http": 80, "https": 443}
_PORT_MAX: Final = 65_535
_PORT_DIGITS_MAX: Final = 20
_FORM: Final = re.compile(
    r"(?P<scheme>https?)://(?P<authority>[^/?#]+)(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?(?:#.*)?", re.IGNORECASE
)
_AUTHORITY: Final = re.compile(r"(?P<host>\[[^\]]*\]|[^:\[\]]+)(?::(?P<port>[0-9]*))?")
_KEPT: Final = "!$%&'()*+,/:;=?@[]~-._"
"""What RFC 3986 lets stand in a path or a query, and `%`: what was encoded stays as it was."""


class Place(msgspec.Struct, frozen=True):
    """A host, by address or by name in ASCII, at one port: what a connection goes to."""

    host: Address | str
    port: int


class HttpUrl(msgspec.Struct, frozen=True):
    """`target` is path and query, encoded."""

    scheme: str
    place: Place
    target: str

    @property
    def netloc(self) -> str:
        """Host and, unless it is the scheme's own, port: the Host header."""
        host = f"[{self.place.host}]" if ":" in str(self.place.host) else str(self.place.host)
        return host if self.place.port == _PORTS[self.scheme] else f"{host}:{self.place.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc}{self.target}"


def parse_url(text: str) -> HttpUrl:
    """Raises UrlRefused: `url_scheme_not_allowed` for what is no http or https URL of a host, else `url_invalid`."""
    if len(text) > URL_CHARACTERS_MAX:
        raise UrlRefused(URL_INVALID, f"longer than {URL_CHARACTERS_MAX:,} characters")
    if not all(character.isprintable() for character in text) or text != text.strip():
        raise UrlRefused(URL_INVALID, "there are control characters in it, or spaces around it")
    form = _FORM.fullmatch(text)
    if form is None:
        raise UrlRefused(SCHEME_NOT_ALLOWED, "only http:// and https:// with the name of a host are called")
    scheme = form["scheme"].lower()
    query = "" if form["query"] is None else f"?{form['query']}"
    return HttpUrl(scheme, _place(form["authority"], _PORTS[scheme]), _target(f"{form['path'] or '/'}{query}"))


def joined(base: HttpUrl, location: str) -> HttpUrl:
    """Where a redirect leads. Raises UrlRefused."""
    try:
        text = urljoin(str(base), location)
    except ValueError as error:
        raise UrlRefused(URL_INVALID, "redirected to something that is no URL") from error
    return parse_url(text)


def _place(text: str, port_default: int) -> Place:
    if "@" in text:
        raise UrlRefused(URL_INVALID, "a URL may carry no user name and no password")
    parts = _AUTHORITY.fullmatch(text)
    if parts is None:
        raise UrlRefused(URL_INVALID, f"{text[:80]!r} names no host")
    port = int(parts["port"][:_PORT_DIGITS_MAX]) if parts["port"] else port_default
    if not 0 < port <= _PORT_MAX:
        raise UrlRefused(URL_INVALID, f"there is no port {parts['port'][:20]}")
    return Place(host_of(parts["host"]), port)


def _target(text: str) -> str:
    try:
        return quote(text, safe=_KEPT)
    except UnicodeEncodeError as error:  # a lone surrogate, from JSON
        raise UrlRefused(URL_INVALID, "there are characters in it that are no text") from error
