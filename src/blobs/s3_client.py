"""The client of an S3 server, as its settings and servers other than AWS want it."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import aioboto3
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession

from blobs.s3_put import SmallPuts, form_of
from blobs.s3_settings import S3Settings


@asynccontextmanager
async def open_client(settings: S3Settings) -> AsyncGenerator[tuple[Any, SmallPuts]]:
    """A client, and the way of small objects over its connections."""
    made: list[AIOHTTPSession] = []

    def connections(**options: Any) -> AIOHTTPSession:
        made.append(AIOHTTPSession(**options))
        return made[-1]

    async with make_client(settings, connections) as client:
        (shared,) = made
        form = await form_of(client, settings.bucket)
        yield client, SmallPuts(client, shared, form, bucket=settings.bucket)


def make_client(settings: S3Settings, connections: Callable[..., AIOHTTPSession] = AIOHTTPSession) -> Any:
    """Build the context manager of a client; `connections` makes what holds them, with what the SDK tells it.

    Checksums only where S3 requires them: since botocore 1.36 the SDK adds trailers that servers other than AWS
    refuse. Path-style addresses for an endpoint of one's own, where no DNS name exists for each bucket.
    """
    config = AioConfig(
        connect_timeout=settings.connect_timeout_s,
        read_timeout=settings.read_timeout_s,
        max_pool_connections=settings.concurrency_max,
        retries={"total_max_attempts": settings.attempts_max, "mode": "standard"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        http_session_cls=connections,
        s3={"addressing_style": "path" if settings.endpoint_url else "auto"},
    )
    return _session().client(
        "s3",
        endpoint_url=settings.endpoint_url,
        region_name=settings.region,
        aws_access_key_id=settings.access_key,
        aws_secret_access_key=settings.secret_key,
        config=config,
    )


@cache
def _session() -> Any:
    """One for the process: it keeps what it has read of the protocol's description, 60 ms for each further client."""
    return aioboto3.Session()
