"""URLs that a client wants us to call: checked when they come in, and again at each call."""

from collections.abc import Awaitable, Callable
from typing import Final

from ingest.problems import Flaw, ProblemCode, Rejected
from outbound.errors import ADDRESS_DENIED, OutboundError, UrlRefused
from outbound.urls import HttpUrl

CheckUrl = Callable[[str], Awaitable[HttpUrl]]
"""`OutboundClient.check_url`."""


async def calls_nobody(_url: str) -> HttpUrl:
    """Of services that were put together without a way out. Raises UrlRefused."""
    raise UrlRefused(ADDRESS_DENIED, "nothing is called from here")


_CODES: Final = {
    code.value: code
    for code in (
        ProblemCode.URL_ADDRESS_DENIED,
        ProblemCode.URL_INVALID,
        ProblemCode.URL_SCHEME_NOT_ALLOWED,
        ProblemCode.URL_UNRESOLVABLE,
    )
}


async def checked_url(check: CheckUrl, url: str, pointer: str) -> str:
    """The URL in its one form. Raises Rejected, with the pointer."""
    try:
        return str(await check(url))
    except OutboundError as error:
        raise Rejected(refused_code(error), error.detail, (Flaw(pointer, error.detail),)) from error


def refused_code(error: OutboundError) -> ProblemCode:
    """The code of the answer to a URL that would not be called."""
    return _CODES.get(error.code, ProblemCode.VALIDATION_FAILED)
