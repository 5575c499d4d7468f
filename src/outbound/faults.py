"""httpcore's errors as ours."""

import contextlib
import ssl
from collections.abc import Iterator

import httpcore

from outbound.errors import FetchFailed

_DETAIL_CHARACTERS_MAX = 200


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """A certificate that does not hold is refused for good; all else may be another answer next time."""
    try:
        yield
    except httpcore.TimeoutException as error:
        raise FetchFailed("no byte for too long") from error
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        untrusted = next((one for one in _causes(error) if isinstance(one, ssl.SSLCertVerificationError)), None)
        detail = str(untrusted or error)[:_DETAIL_CHARACTERS_MAX] or type(error).__name__
        raise FetchFailed(detail, is_permanent=untrusted is not None) from error


def _causes(error: BaseException) -> Iterator[BaseException]:
    """httpcore and anyio each wrap what the TLS library says."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
