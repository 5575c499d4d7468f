"""Why a call did not happen or came to nothing: stable codes, and whether asking again could help."""

from typing import Any, Final

SCHEME_NOT_ALLOWED: Final = "url_scheme_not_allowed"
URL_INVALID: Final = "url_invalid"
ADDRESS_DENIED: Final = "url_address_denied"
UNRESOLVABLE: Final = "url_unresolvable"
FETCH_LIMIT: Final = "fetch_limit"
FETCH_FAILED: Final = "fetch_failed"


class OutboundError(Exception):
    """`code` is stable, `detail` is for people; `is_permanent` where another attempt would end the same way."""

    def __init__(self, code: str, detail: str, *, is_permanent: bool) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail
        self.is_permanent = is_permanent

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"

    def __reduce__(self) -> tuple[Any, ...]:
        """Each kind is made from other arguments, so across a process border it is made without."""
        return _made_again, (type(self), self.args, vars(self))


class UrlRefused(OutboundError):
    """Nothing was connected to: the URL is none that we call (`url_scheme_not_allowed`, `url_invalid`), or its host has
    an address that nobody outside may have us call (`url_address_denied`)."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(code, detail, is_permanent=True)


class Unresolvable(OutboundError):
    """`url_unresolvable`: the name has no address, too many, or the resolver kept silent. A resolver may come back."""

    def __init__(self, detail: str) -> None:
        super().__init__(UNRESOLVABLE, detail, is_permanent=False)


class FetchLimit(OutboundError):
    """`fetch_limit`: too large, too many redirects, too many headers (permanent), or too slow (not)."""

    def __init__(self, detail: str, *, is_permanent: bool = True) -> None:
        super().__init__(FETCH_LIMIT, detail, is_permanent=is_permanent)


class FetchFailed(OutboundError):
    """`fetch_failed`: no connection, no TLS that holds, or an answer that is not HTTP."""

    def __init__(self, detail: str, *, is_permanent: bool = False) -> None:
        super().__init__(FETCH_FAILED, detail, is_permanent=is_permanent)


def _made_again(kind: type[OutboundError], args: tuple[Any, ...], told: dict[str, Any]) -> OutboundError:
    error = kind.__new__(kind, *args)
    vars(error).update(told)
    return error
