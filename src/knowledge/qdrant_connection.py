"""A client of the Qdrant server that the settings name: REST over one pool of connections, nothing connected yet."""

from qdrant_client import AsyncQdrantClient


def connect(url: str, *, api_key: str | None, call_s_max: int) -> AsyncQdrantClient:
    """`url` is http:// or https://, with port 6333 where it names none. Raises ValueError for what is no address.

    A certificate is checked against the authorities that this machine trusts, or those of `SSL_CERT_FILE`. The key goes
    as a header by ourselves: the client would warn of it on plain HTTP in words of its own. Its comparison of versions
    stays off, as it runs in a thread that nobody waits for; `Collections.version` compares.
    """
    headers = {} if api_key is None else {"api-key": api_key}
    return AsyncQdrantClient(url=url, headers=headers, timeout=call_s_max, check_compatibility=False)
