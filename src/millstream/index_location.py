"""Settings -> the index: a directory, a bucket to which several machines commit, or a server (`qdrant_location.py`).

Commits to a bucket have to be compared, or rows are lost without a word. Who does it is found out at start and agreed
on in Redis: the S3 server where it keeps `If-None-Match`, else Redis (`knowledge/lance_versions.py`).
"""

from enum import StrEnum
from typing import TYPE_CHECKING, Final, assert_never
from urllib.parse import unquote, urlsplit

import msgspec
import structlog

from blobs.errors import BlobError
from blobs.s3_settings import S3Settings
from events.errors import LogFull, LogUnavailable
from events.keys import Keys
from events.redis_clients import Clients
from events.redis_index_versions import RedisIndexVersions
from knowledge.errors import IndexRefused, IndexUnavailable
from knowledge.index import CollectableIndex
from knowledge.lance_index import LanceIndex
from knowledge.lance_versions import LanceVersions, ServerRegister, TableVersions
from millstream.blob_location import bucket_of, unusable
from millstream.errors import ExitCode, Stop
from millstream.installation import unreachable
from millstream.qdrant_location import SCHEMES, QdrantPlace, make_qdrant_index, qdrant_of
from millstream.settings import Settings

if TYPE_CHECKING:  # it imports the SDK of S3, which most installations never need
    from millstream.index_manifests import BucketManifests

VARIABLE: Final = "MILLSTREAM_INDEX_URL"

_log = structlog.get_logger()


class Comparer(StrEnum):
    """Who sees to it that no commit to the index replaces another."""

    DIRECTORY = "directory"
    SERVER = "server"
    REDIS = "redis"
    QDRANT = "qdrant"


class IndexLocation(msgspec.Struct, frozen=True):
    """`uri` as it is told, and as LanceDB takes it; `bucket` where it is one, `qdrant` where it is such a server."""

    uri: str
    bucket: S3Settings | None = None
    qdrant: QdrantPlace | None = None


class OpenIndex(msgspec.Struct, frozen=True):
    """The index and what /readyz and the log say of it."""

    index: CollectableIndex
    location: IndexLocation
    comparer: Comparer
    manifests: "BucketManifests | None" = None

    @property
    def is_server(self) -> bool:
        """Whether it may be away while everything else answers."""
        return self.location.qdrant is not None

    @property
    def told(self) -> str:
        return describe(self.location, self.comparer)

    async def close(self) -> None:
        await self.index.close()
        if self.manifests is not None:
            await self.manifests.close()


def describe(location: IndexLocation, comparer: Comparer) -> str:
    """Where the index is and who may write to it, in a line."""
    match comparer:
        case Comparer.DIRECTORY:
            return location.uri
        case Comparer.SERVER:
            return f"{location.uri}, any number of writers: the S3 server compares their commits"
        case Comparer.REDIS:
            return f"{location.uri}, any number of writers: Redis compares their commits"
        case Comparer.QDRANT:
            return f"{location.uri}, any number of writers: the Qdrant server compares the fences of rows"
        case _:
            assert_never(comparer)


def locate_index(settings: Settings) -> IndexLocation:
    """Where the index is. Raises Stop."""
    url = urlsplit(settings.index_url)
    match url.scheme:
        case "":
            return IndexLocation(settings.index_url or str(settings.data_path / "index"))
        case "file":
            return IndexLocation(unquote(url.path))
        case "s3":
            return _in_bucket(settings)
        case scheme if scheme in SCHEMES:
            place = qdrant_of(settings.index_url)
            return IndexLocation(place.uri, qdrant=place)
        case other:
            raise _unusable(other)


def _in_bucket(settings: Settings) -> IndexLocation:
    try:
        bucket = bucket_of(settings, urlsplit(settings.index_url))
    except (ValueError, BlobError) as error:
        raise Stop(
            f"{VARIABLE} cannot be used: {error}",
            hint="use s3://bucket/prefix, and set both MILLSTREAM_S3_ACCESS_KEY and _SECRET_KEY or neither",
            exit_code=ExitCode.CONFIGURATION,
        ) from None
    return IndexLocation(f"s3://{bucket.bucket}" + (f"/{bucket.prefix}" if bucket.prefix else ""), bucket)


def lance_options(bucket: S3Settings) -> dict[str, str]:
    """How LanceDB reaches the bucket, as the blob store does: addresses by path at a server of one's own, and objects
    deleted one by one there, since the bulk call needs checksums that not every server accepts."""
    is_own = bucket.endpoint_url is not None
    options = {
        "aws_region": bucket.region,
        "aws_virtual_hosted_style_request": str(not is_own).lower(),
        "aws_disable_bulk_delete": str(is_own).lower(),
        "timeout": f"{bucket.call_timeout_s:g}s",
        "connect_timeout": f"{bucket.connect_timeout_s:g}s",
        "client_retry_timeout": f"{bucket.call_timeout_s:.0f}",
    }
    if bucket.endpoint_url is not None:
        options["aws_endpoint"] = bucket.endpoint_url
        options["allow_http"] = str(bucket.endpoint_url.startswith("http://")).lower()
    if bucket.access_key is not None and bucket.secret_key is not None:
        options["aws_access_key_id"] = bucket.access_key
        options["aws_secret_access_key"] = bucket.secret_key
    return options


async def open_index(settings: Settings, clients: Clients, keys: Keys) -> OpenIndex:
    """Finds out who compares commits. Raises Stop that says what to do."""
    location = locate_index(settings)
    if location.qdrant is not None:
        return await _open_qdrant(settings, location, location.qdrant)
    if location.bucket is None:
        return OpenIndex(_lance_index(settings, location), location, Comparer.DIRECTORY)
    from millstream.index_manifests import BucketManifests, SharedRegister

    manifests = BucketManifests(location.bucket)
    register = RedisIndexVersions(clients.commands, keys)
    try:
        comparer = await _agree(settings, location, manifests, register)
    except (LogUnavailable, LogFull) as error:
        await manifests.close()
        raise unreachable(settings, error) from None
    except BaseException:
        await manifests.close()
        raise
    manifests.compared = comparer is Comparer.SERVER
    versions = LanceVersions(
        TableVersions(ServerRegister() if manifests.compared else SharedRegister(register), manifests),
        prefix=location.bucket.prefix,
        is_for_new_tables=manifests.compared,
    )
    return OpenIndex(_lance_index(settings, location, versions), location, comparer, manifests)


async def _open_qdrant(settings: Settings, location: IndexLocation, place: QdrantPlace) -> OpenIndex:
    """A server that is away is waited for by the steps; one that will never serve ends the start."""
    index = await make_qdrant_index(settings, place)
    try:
        await index.check()
    except IndexRefused as error:
        await index.close()
        raise Stop(str(error), hint="see `millstream doctor`", exit_code=ExitCode.CONFIGURATION) from None
    except IndexUnavailable as error:
        _log.warning("index_server_not_reached", error=str(error))
    return OpenIndex(index, location, Comparer.QDRANT)


def _lance_index(settings: Settings, location: IndexLocation, versions: LanceVersions | None = None) -> LanceIndex:
    return LanceIndex(
        location.uri,
        storage_options=None if location.bucket is None else lance_options(location.bucket),
        versions=versions,
        vector_index_rows_min=settings.index_vectors_rows_min,
        cache_bytes_max=settings.index_cache_mb * 1024**2,
    )


def _unusable(scheme: str) -> Stop:
    stop = unusable(VARIABLE, scheme)
    return Stop(stop.what, hint=f"{stop.hint} or qdrant+http://host:6333/name", exit_code=stop.exit_code)


async def _agree(
    settings: Settings, location: IndexLocation, manifests: "BucketManifests", register: RedisIndexVersions
) -> Comparer:
    """All processes must: one that commits by Redis and one that commits by the server would not see each other."""
    place = f"{settings.s3_endpoint_url} {location.uri}"
    if settings.index_commits == "redis":
        return Comparer(await register.agree(place, Comparer.REDIS.value, overrules=True))
    noted = await register.comparer(place)
    if noted == Comparer.REDIS.value:
        return Comparer.REDIS
    try:
        found = Comparer.SERVER if await manifests.server_compares() else Comparer.REDIS
    except BlobError as error:
        if noted is not None:
            _log.warning("index_bucket_not_reached", error=str(error))
            return Comparer(noted)
        raise Stop(
            f"the bucket of the index does not answer: {error}",
            hint="until it was tried out nobody may write to it; see `millstream doctor`",
            exit_code=ExitCode.UNREACHABLE,
        ) from None
    agreed = Comparer(await register.agree(place, found.value))
    if agreed is Comparer.SERVER and found is Comparer.REDIS:
        raise Stop(
            f"the S3 server at {location.uri} kept If-None-Match and does no longer: writers would lose rows",
            hint="put a server there that does; or stop every process, and start them with "
            "MILLSTREAM_INDEX_COMMITS=redis from now on",
            exit_code=ExitCode.CONFIGURATION,
        )
    return agreed
