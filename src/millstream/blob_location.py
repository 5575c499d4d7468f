"""Settings -> the blob store."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from blobs.local import LocalBlobStore
from blobs.store import CollectableBlobs
from millstream.errors import ExitCode, Stop
from millstream.settings import Settings

S3_CONNECT_S_MAX = 5.0
"""Or less, where a whole call may take less."""


def open_blobs(settings: Settings) -> CollectableBlobs:
    """The blob store that the settings name; nothing is connected yet. Raises Stop."""
    url = urlsplit(settings.blobs_url)
    match url.scheme:
        case "":
            return LocalBlobStore(Path(settings.blobs_url) if settings.blobs_url else settings.data_path / "blobs")
        case "file":
            return LocalBlobStore(Path(unquote(url.path)))
        case "s3":
            from blobs.s3 import S3BlobStore
            from blobs.s3_settings import S3Settings

            return S3BlobStore(
                S3Settings(
                    bucket=url.netloc,
                    prefix=url.path.strip("/"),
                    endpoint_url=settings.s3_endpoint_url or None,
                    region=settings.s3_region or "us-east-1",
                    access_key=settings.s3_access_key or None,
                    secret_key=settings.s3_secret_key or None,
                    call_timeout_s=settings.s3_call_s_max,
                    read_timeout_s=settings.s3_call_s_max,
                    connect_timeout_s=min(S3_CONNECT_S_MAX, settings.s3_call_s_max),
                )
            )
        case other:
            raise Stop(
                f"MILLSTREAM_BLOBS_URL cannot begin with {other}:",
                hint="use file:///path or s3://bucket/prefix",
                exit_code=ExitCode.CONFIGURATION,
            )
