"""Settings -> the blob store, and the place from which objects are imported."""

from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from blobs.local import LocalBlobStore
from blobs.local_objects import LocalObjects
from blobs.objects import ObjectReader
from blobs.s3_settings import S3Settings
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

            return S3BlobStore(bucket_of(settings, url))
        case other:
            raise unusable("MILLSTREAM_BLOBS_URL", other)


def open_objects(settings: Settings) -> ObjectReader | None:
    """Where objects are imported from; None where nothing is configured. Nothing is connected yet. Raises Stop."""
    url = urlsplit(settings.import_bucket_url)
    match url.scheme:
        case "" if not settings.import_bucket_url:
            return None
        case "file":
            return LocalObjects(Path(unquote(url.path)))
        case "s3":
            from blobs.s3_objects import S3Objects

            return S3Objects(bucket_of(settings, url))
        case other:
            raise unusable("MILLSTREAM_IMPORT_BUCKET_URL", other)


def bucket_of(settings: Settings, url: SplitResult) -> S3Settings:
    """The bucket of an `s3://` URL, at the server and with the keys that the settings name."""
    return S3Settings(
        bucket=url.netloc,
        prefix=url.path.strip("/"),
        endpoint_url=settings.s3_endpoint_url or None,
        region=settings.s3_region or "us-east-1",
        access_key=settings.s3_access_key or None,
        secret_key=settings.s3_secret_key or None,
        call_timeout_s=settings.s3_call_s_max,
        read_timeout_s=settings.s3_call_s_max,
        metadata_bytes_max=settings.s3_metadata_bytes_max,
        connect_timeout_s=min(S3_CONNECT_S_MAX, settings.s3_call_s_max),
    )


def unusable(variable: str, scheme: str) -> Stop:
    """What a person is told of a URL that names no place that we know."""
    return Stop(
        f"{variable} cannot begin with {scheme or 'a path'}:",
        hint="use file:///path or s3://bucket/prefix",
        exit_code=ExitCode.CONFIGURATION,
    )
