"""A mill whose blobs are in S3, behind a proxy that fails as told."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import boto3

from tests.faults.mill import WORKERS, Mill
from tests.servers.s3_gateway import S3Server, start_s3_server, stop_s3_server
from tests.servers.s3_proxy import ProxyThread

PREFIX: Final = "mill"
CALL_S_MAX: Final = 3
"""What the roles give one call of S3, a tenth of the default: what takes 65 s there takes 11 s here."""


class S3Mill(ProxyThread):
    """The proxy, what lies behind it, and the mill before it."""

    def __init__(self, server: S3Server) -> None:
        super().__init__(server.endpoint_url)
        self._server = server
        self.s3: Any = boto3.client(
            "s3",
            endpoint_url=server.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id=server.access_key,
            aws_secret_access_key=server.secret_key,
        )

    @property
    def variables(self) -> dict[str, str]:
        """The settings of the roles."""
        return {
            "MILLSTREAM_BLOBS_URL": f"s3://{self._server.bucket}/{PREFIX}",
            "MILLSTREAM_S3_ENDPOINT_URL": self.proxy.endpoint_url,
            "MILLSTREAM_S3_ACCESS_KEY": self._server.access_key,
            "MILLSTREAM_S3_SECRET_KEY": self._server.secret_key,
            "MILLSTREAM_S3_CALL_S_MAX": str(CALL_S_MAX),
        }

    def objects(self, prefix: str = "") -> dict[str, bytes]:
        """What is in the bucket, past the proxy, by the blob's key."""
        found = self.s3.list_objects_v2(Bucket=self._server.bucket, Prefix=f"{PREFIX}/{prefix}").get("Contents", ())
        return {one["Key"].removeprefix(f"{PREFIX}/"): self._content(one["Key"]) for one in found}

    def keys(self, prefix: str = "") -> set[str]:
        found = self.s3.list_objects_v2(Bucket=self._server.bucket, Prefix=f"{PREFIX}/{prefix}").get("Contents", ())
        return {one["Key"].removeprefix(f"{PREFIX}/") for one in found}

    def put(self, key: str, content: bytes) -> None:
        self.s3.put_object(Bucket=self._server.bucket, Key=f"{PREFIX}/{key}", Body=content)

    def delete(self, key: str) -> None:
        self.s3.delete_object(Bucket=self._server.bucket, Key=f"{PREFIX}/{key}")

    @property
    def open_uploads(self) -> int:
        """Uploads in parts that were begun and neither completed nor aborted."""
        return len(self.s3.list_multipart_uploads(Bucket=self._server.bucket).get("Uploads", ()))

    def _content(self, name: str) -> bytes:
        content: bytes = self.s3.get_object(Bucket=self._server.bucket, Key=name)["Body"].read()
        return content


@contextmanager
def running_s3_mill(
    directory: Path, workers: Sequence[str] = WORKERS, variables: Mapping[str, str] | None = None
) -> Iterator[tuple[S3Mill, Mill]]:
    """Everything is up: gateway, proxy, Redis and all roles. `variables` are further settings."""
    process, server = start_s3_server(directory)
    try:
        with S3Mill(server) as s3, Mill({**s3.variables, **(variables or {})}) as mill:
            yield s3, mill.start_all(workers)
    finally:
        stop_s3_server(process)
