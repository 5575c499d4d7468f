"""One question before every connection: which addresses does this host have, and may we call them?"""

import asyncio
import ipaddress
from typing import Final

from outbound.addresses import Address
from outbound.errors import Unresolvable
from outbound.resolver import Resolver
from outbound.rules import Rules
from outbound.urls import HttpUrl, Place, parse_url

RESOLVE_S_MAX: Final = 5.0
ANSWERS_MAX: Final = 64
"""Large services have a dozen addresses; a name with a thousand wants to keep somebody busy."""
_LOOPBACK: Final = (ipaddress.IPv4Address("127.0.0.1"),)


class Guard:
    """Resolves and judges. Nothing is remembered: a name that changes its answer is judged by the one that is used."""

    def __init__(self, rules: Rules, resolver: Resolver, *, resolve_s_max: float = RESOLVE_S_MAX) -> None:
        self._rules = rules
        self._resolver = resolver
        self._resolve_s_max = resolve_s_max

    async def check_url(self, text: str) -> HttpUrl:
        """For registration: the URL in its one form. Raises UrlRefused and Unresolvable."""
        url = parse_url(text)
        await self.addresses(url.place)
        return url

    async def addresses(self, place: Place) -> tuple[Address, ...]:
        """The addresses to connect to, all of them allowed. Raises UrlRefused and Unresolvable."""
        addresses = await self._resolved(place.host) if isinstance(place.host, str) else (place.host,)
        self._rules.check(place, addresses)
        return addresses

    async def _resolved(self, name: str) -> tuple[Address, ...]:
        if name == "localhost" or name.endswith(".localhost"):
            return _LOOPBACK  # RFC 6761, 6.3: whatever the resolver says
        try:
            async with asyncio.timeout(self._resolve_s_max):
                answers = await self._resolver.resolve(name)
        except TimeoutError as error:
            raise Unresolvable(f"no answer for {name} within {self._resolve_s_max:g} s") from error
        if len(answers) > ANSWERS_MAX:
            raise Unresolvable(f"{name} has {len(answers):,} addresses; {ANSWERS_MAX} are the most")
        try:
            return tuple(ipaddress.ip_address(answer) for answer in answers)
        except ValueError as error:
            raise Unresolvable(f"{name} has an address that is none") from error
