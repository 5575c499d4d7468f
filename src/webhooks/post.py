"""Posting a message to an endpoint: what the sender needs of it, and how it is done over the outbound client."""

from collections.abc import Mapping
from typing import Protocol

import msgspec

from outbound.client import OutboundClient
from outbound.errors import OutboundError


class Answered(msgspec.Struct, frozen=True):
    """The endpoint answered, whatever it was. `body` is the start of it."""

    status_code: int
    body: bytes = b""
    retry_after: str | None = None


class Unanswered(msgspec.Struct, frozen=True):
    """It did not, or was not called at all. `code` is stable, `detail` is for people."""

    code: str
    detail: str


class Post(Protocol):
    """Never follows a redirect, has a deadline, and calls no address that it may not call."""

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answered | Unanswered: ...


class OutboundPost:
    """Post over the one client that calls addresses of strangers."""

    def __init__(self, client: OutboundClient) -> None:
        self._client = client

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answered | Unanswered:
        try:
            posted = await self._client.post(url, body, headers=headers)
        except OutboundError as error:
            return Unanswered(error.code, error.detail)
        return Answered(posted.status, posted.body, posted.retry_after)
