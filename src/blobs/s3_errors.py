"""What an S3 server and its SDK say, in our words."""

from typing import Any, Final

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

from blobs.errors import BlobError, BlobMissing, BlobStoreFull, BlobStoreUnavailable, InvalidBlobKey

FOREIGN_ERRORS: Final = (ClientError, BotoCoreError, aiohttp.ClientError, OSError, TimeoutError)
"""Everything that a call of the SDK may raise for reasons outside this process."""

_MISSING: Final = frozenset({"NoSuchKey", "NoSuchUpload", "404", "NotFound"})
_FULL: Final = frozenset(
    {"InsufficientStorage", "QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded"}
)
_NESTED: Final = frozenset({"XMinioParentIsObject", "XMinioObjectExistsAsDirectory"})
_REFUSED: Final = frozenset({"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "401", "403"})
_STATUS_FULL: Final = 507
_STATUS_BUSY: Final = frozenset({408, 429})
_STATUS_SERVER_ERROR_MIN: Final = 500


def code_of(error: BaseException) -> str:
    """Return the S3 error code (`NoSuchKey`, or the bare status of a HEAD such as `404`), empty where there is none."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def translated(error: Exception, key: str, *, bucket: str, call_timeout_s: float) -> BlobError:
    """Turn one of FOREIGN_ERRORS into one of ours; credentials never enter the message."""
    match error:
        case ClientError():
            return _of_answer(error.response, key, bucket)
        case NoCredentialsError() | PartialCredentialsError():
            return BlobStoreUnavailable("No S3 credentials were found: set an access key and a secret key.")
        case TimeoutError() if not isinstance(error, BotoCoreError):
            return BlobStoreUnavailable(f"The S3 server did not answer within {call_timeout_s:g} s.")
        case _:
            return BlobStoreUnavailable(f"The S3 server could not be reached or broke off: {error}")


def _of_answer(response: dict[str, Any], key: str, bucket: str) -> BlobError:
    code = str(response.get("Error", {}).get("Code", ""))
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code == "NoSuchBucket":
        return BlobStoreUnavailable(f"The bucket {bucket!r} does not exist: create it or name another.")
    if code in _MISSING:
        return BlobMissing(key)
    if code in _FULL or status == _STATUS_FULL:
        return BlobStoreFull(f"No space or quota is left for blobs in the bucket {bucket!r}.")
    if code in _NESTED:
        return InvalidBlobKey(key, "another blob lies above or beneath it")
    if code in _REFUSED:
        return BlobStoreUnavailable(f"The S3 server refused access to the bucket {bucket!r} ({code}): check the keys.")
    if status >= _STATUS_SERVER_ERROR_MIN or status in _STATUS_BUSY:
        return BlobStoreUnavailable(f"The S3 server is failing or busy: {status} {code}.")
    return BlobError(f"The S3 server refused a call for {key!r}: {status} {code}.")
