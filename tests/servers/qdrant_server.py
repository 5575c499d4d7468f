"""Which Qdrant server tests may use: one that whoever runs them names, as no package index has one to start."""

import os
from typing import Final

from qdrant_client import AsyncQdrantClient

from knowledge.qdrant_connection import connect

URL: Final = "MILLSTREAM_TEST_QDRANT_URL"
KEY: Final = "MILLSTREAM_TEST_QDRANT_API_KEY"
CALL_S_MAX: Final = 60


def client_of(url: str) -> AsyncQdrantClient:
    return connect(url, api_key=os.environ.get(KEY), call_s_max=CALL_S_MAX)
