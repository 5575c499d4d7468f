"""A short blob in one PUT, signed here and sent through the SDK's own connections, past its machinery for requests.

Where to send it, and as of which region, is taken from a PUT that the SDK has made itself, so that its rules for
addresses are the only ones. Whatever is not answered with 200 is left to the SDK: it knows what may be tried again, and
what is an error.
"""

import re
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from botocore.awsrequest import AWSPreparedRequest
from botocore.exceptions import BotoCoreError

from blobs.s3_signature import Signing, signed_put
from blobs.writer import Batch

PLAIN_BYTES_MAX: Final = 1024 * 1024
"""A longer body is sent piece by piece, so that one connection does not hold up the others."""

_SIGNED_FOR: Final = re.compile(r"AWS4-HMAC-SHA256 Credential=[^,]*/\d{8}/([a-z0-9-]+)/s3/aws4_request,")
"""The region of a request to S3 itself; directory buckets are signed for otherwise, and stay with the SDK."""

_OK: Final = 200


class _Way(msgspec.Struct, frozen=True):
    """`origin` and `path` come before a quoted key."""

    origin: str
    path: str
    host: str
    region: str


class ObjectPut:
    """PUTs into one bucket. `credentials` are what the SDK signs with; None where there are none."""

    def __init__(self, client: Any, credentials: Any, *, bucket: str) -> None:
        self._client = client
        self._credentials = credentials
        self._bucket = bucket
        self._last: AWSPreparedRequest | None = None
        self._way: _Way | None = None
        client.meta.events.register("before-send.s3.PutObject", self._note)

    async def put(self, name: str, body: Batch, sha256: str) -> None:
        """Raises what `put_object` raises."""
        if self._way is not None and await self._send(self._way, name, body, sha256):
            return
        body.seek(0)
        await self._client.put_object(Bucket=self._bucket, Key=name, Body=body, Metadata={"sha256": sha256})
        self._learn(name)

    def _note(self, request: AWSPreparedRequest, **_: Any) -> None:
        self._last = request

    def _learn(self, name: str) -> None:
        """From the last PUT of the SDK, unless it was another one's."""
        last, self._last = self._last, None
        if last is None or self._credentials is None or not last.url.endswith(f"/{_quoted(name)}"):
            return
        signed = _SIGNED_FOR.match(_text(last.headers.get("Authorization", "")))
        if signed is None:
            self._way = None
            return
        address = urlsplit(last.url.removesuffix(_quoted(name)))
        self._way = _Way(f"{address.scheme}://{address.netloc}", address.path, address.netloc, signed[1])

    async def _send(self, way: _Way, name: str, body: Batch, sha256: str) -> bool:
        path = f"{way.path}{_quoted(name)}"
        try:
            found = await self._credentials.get_frozen_credentials()
            signing = Signing(found.access_key, found.secret_key, found.token, way.region)
            headers = signed_put(signing, way.host, path, sha256, datetime.now(UTC))
            whole = body.getvalue() if len(body.getbuffer()) <= PLAIN_BYTES_MAX else body
            request = AWSPreparedRequest("PUT", f"{way.origin}{path}", headers, whole, stream_output=False)
            # There is no public way to the connections; another session would be a second pool with limits of its own.
            answer = await self._client._endpoint.http_session.send(request)
        except BotoCoreError:
            return False
        return bool(answer.status_code == _OK)


def _quoted(name: str) -> str:
    """As the SDK puts a key into a path; of what a key of ours may hold, `@` alone is not as it is."""
    return name.replace("@", "%40")


def _text(value: str | bytes) -> str:
    return value.decode("ascii") if isinstance(value, bytes) else value
