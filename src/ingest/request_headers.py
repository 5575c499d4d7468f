"""The header fields of a request by their names, taken apart once: ten layers look at them, each at one or two."""

from collections.abc import Iterable, MutableMapping
from typing import Any, Final

from starlette.datastructures import Headers

_KEY: Final = "millstream.headers"


class RequestHeaders(Headers):
    """As Starlette's, which goes through all fields and decodes them whenever one is asked for."""

    def __init__(self, raw: Iterable[tuple[bytes, bytes]]) -> None:
        self.of: Final = raw
        self._list = list(raw)
        self._named: dict[str, list[str]] = {}
        for name, value in self._list:
            self._named.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))

    def get(self, key: str, default: Any = None) -> Any:
        """The first of this name."""
        found = self._named.get(key.lower())
        return default if found is None else found[0]

    def getlist(self, key: str) -> list[str]:
        """All of this name, in order."""
        return list(self._named.get(key.lower(), ()))

    def __getitem__(self, key: str) -> str:
        return self._named[key.lower()][0]

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and key.lower() in self._named


def headers_of(scope: MutableMapping[str, Any]) -> RequestHeaders:
    """Of an ASGI scope, in which they are kept as long as its header fields are these."""
    found: RequestHeaders | None = scope.get(_KEY)
    if found is None or found.of is not scope["headers"]:
        found = scope[_KEY] = RequestHeaders(scope["headers"])
    return found
