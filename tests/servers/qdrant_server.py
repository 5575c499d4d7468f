"""An index on Qdrant: in the local mode of its client, or on a server that whoever runs the tests names.

No package index has a server that could be started here.
"""

import os
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:  # half a second to import
    from qdrant_client import AsyncQdrantClient

    from knowledge.qdrant_index import QdrantIndex

URL: Final = "MILLSTREAM_TEST_QDRANT_URL"
KEY: Final = "MILLSTREAM_TEST_QDRANT_API_KEY"
CALL_S_MAX: Final = 60


def local_client() -> "AsyncQdrantClient":
    """Collections in the memory of this process; two indices may share one."""
    from qdrant_client import AsyncQdrantClient

    return AsyncQdrantClient(":memory:")


def client_of(url: str) -> "AsyncQdrantClient":
    from knowledge.qdrant_connection import connect

    return connect(url, api_key=os.environ.get(KEY), call_s_max=CALL_S_MAX)


def index_on(client: "AsyncQdrantClient", *, collection: str = "millstream", **options: Any) -> "QdrantIndex":
    from knowledge.qdrant_index import QdrantIndex

    return QdrantIndex(client, collection=collection, **options)
