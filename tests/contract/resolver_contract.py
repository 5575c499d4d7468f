"""What holds of every resolver."""

import asyncio
from ipaddress import ip_address

import pytest

from outbound.errors import UNRESOLVABLE, Unresolvable
from outbound.resolver import Resolver


class ResolverContract:
    """A test file for each implementation gives `resolver`, which knows localhost and no name under `.invalid`."""

    async def test_a_name_has_addresses_and_each_once(self, resolver: Resolver) -> None:
        answers = [ip_address(answer) for answer in await resolver.resolve("localhost")]

        assert answers
        assert all(answer.is_loopback for answer in answers)
        assert len(set(answers)) == len(answers)

    @pytest.mark.parametrize("name", ["no-such-name.invalid", "a" * 64 + ".invalid"])
    async def test_a_name_without_addresses_says_so(self, resolver: Resolver, name: str) -> None:
        with pytest.raises(Unresolvable) as refused:
            await resolver.resolve(name)
        assert refused.value.code == UNRESOLVABLE

    async def test_many_may_ask_at_once(self, resolver: Resolver) -> None:
        answers = await asyncio.gather(*(resolver.resolve("localhost") for _ in range(8)))
        assert len({tuple(answer) for answer in answers}) == 1
