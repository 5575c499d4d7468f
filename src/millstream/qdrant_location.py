"""Settings -> the index on a Qdrant server."""

import asyncio
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec

from millstream.errors import ExitCode, Stop
from millstream.settings import Settings

if TYPE_CHECKING:  # it imports the client of Qdrant, which most installations do not have
    from knowledge.qdrant_index import QdrantIndex

SCHEMES: Final = ("qdrant+http", "qdrant+https")
VARIABLE: Final = "MILLSTREAM_INDEX_URL"
COLLECTION_DEFAULT: Final = "millstream"
PORT_DEFAULT: Final = 6333
_COLLECTION: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")


class QdrantPlace(msgspec.Struct, frozen=True):
    """A server, and what the names of our collections begin with."""

    url: str
    collection: str = COLLECTION_DEFAULT

    @property
    def uri(self) -> str:
        return f"qdrant+{self.url}/{self.collection}"


def qdrant_of(url: str) -> QdrantPlace:
    """The server that `qdrant+http://host:6333/name` names. Raises Stop."""
    parts = urlsplit(url.removeprefix("qdrant+"))
    try:
        port = parts.port or PORT_DEFAULT
    except ValueError:
        raise _unusable("the port is no number from 1 to 65535") from None
    if not parts.hostname:
        raise _unusable("no host is named")
    if parts.username is not None or parts.password is not None:
        raise _unusable("a key does not belong into it: set MILLSTREAM_QDRANT_API_KEY")
    collection = parts.path.strip("/") or COLLECTION_DEFAULT
    if parts.query or parts.fragment or not _COLLECTION.fullmatch(collection):
        raise _unusable("behind the host there is one name, of 1 to 100 letters, digits, - and _")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return QdrantPlace(f"{parts.scheme}://{host}:{port}", collection)


async def make_qdrant_index(settings: Settings, place: QdrantPlace) -> "QdrantIndex":
    """Nothing is connected yet. Raises Stop where the client is not installed."""
    return await asyncio.to_thread(_make, settings, place)


def _make(settings: Settings, place: QdrantPlace) -> "QdrantIndex":
    try:  # 1 s of imports, and the client is an extra
        from knowledge.qdrant_connection import connect
        from knowledge.qdrant_index import QdrantIndex
    except ImportError as error:
        raise Stop(
            f"the client of Qdrant is not installed ({error})",
            hint="pip install 'millstream[qdrant]'",
            exit_code=ExitCode.CONFIGURATION,
        ) from None
    client = connect(place.url, api_key=settings.qdrant_api_key or None, call_s_max=settings.qdrant_call_s_max)
    return QdrantIndex(client, collection=place.collection, is_exact=settings.qdrant_exact)


def _unusable(reason: str) -> Stop:
    return Stop(
        f"{VARIABLE} cannot be used: {reason}",
        hint="use qdrant+http://host:6333/name, or qdrant+https://…",
        exit_code=ExitCode.CONFIGURATION,
    )
