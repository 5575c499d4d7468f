"""Small objects on their way past the SDK's request machinery: as the SDK puts them, signed and sent by its own parts.

For each call the SDK checks parameters, applies the rules of endpoints, tells some thirty handlers and builds a parser,
which is most of the CPU of a small PUT. For one bucket all that comes out the same but for key, digest and body. So the
SDK is asked once how it puts an object (nothing is sent), and each PUT is a copy of that: address, headers, region.
Credentials and their renewal are the SDK's, and so are its connections with TLS, proxies, limits and time-outs, the
errors that it makes of an answer, and its word on whether and when to try again. The signature is the SDK's too, byte
for byte, but not worked out by it (`s3_signature.py`).
"""

import asyncio
import io
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any, Final

import msgspec
import structlog
from aiobotocore.httpsession import AIOHTTPSession
from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload
from botocore.awsrequest import AWSPreparedRequest, AWSRequest
from botocore.exceptions import BotoCoreError, NoCredentialsError
from botocore.hooks import first_non_none_response
from botocore.parsers import create_parser
from botocore.utils import percent_encode

from blobs.s3_signature import PutSignature
from blobs.writer import Batch, Tail, pieces_of

SMALL_BYTES_MAX: Final = 1024 * 1024
"""What aiohttp sends as one piece without a warning. Of longer objects the SDK's own share is small."""

OPERATION: Final = "PutObject"
ANY_KEY: Final = "key"
NOT_COPIED: Final = frozenset(
    {"amz-sdk-invocation-id", "amz-sdk-request", "expect", "authorization", "date", "x-amz-date"}
    | {"x-amz-content-sha256", "x-amz-security-token"}
)
"""What numbers the SDK's attempts, what makes a body wait until the server asks for it (a round trip more), and what
each signature brings along."""

QUOTA: Final = 500
"""Retries of a client, as the SDK counts them: what succeeds gives one back, or what it took itself."""

_PLAIN: Final = re.compile(r"[A-Za-z0-9._@/~-]*")
"""A name of which the SDK would escape nothing but `@`; character by character that takes it 10 µs."""

ELSEWHERE_STATUS: Final = frozenset({301, 302, 307})
ELSEWHERE_CODES: Final = frozenset(
    {"AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraintException"}
)
"""The bucket is in another region than the settings say: the SDK looks for it."""

_log = structlog.get_logger()


class Pieces(Payload):
    """A body as aiohttp sends it: in pieces that lie where they came, where of one it makes a copy with the head."""

    _autoclose = True

    def __init__(self, pieces: Sequence[bytes | memoryview]) -> None:
        super().__init__(pieces)
        self._size = sum(map(len, pieces))

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """As `Payload` wants it; nobody here reads a body as text."""
        return b"".join(self._value).decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """May be called again, by a second attempt."""
        await writer.write(b"")  # the head alone
        for piece in self._value:
            await writer.write(piece)


class Form(msgspec.Struct, frozen=True):
    """How the SDK puts an object into a bucket: the address up to the key, headers, and who signs for what.

    `signer` is the SDK's, which has the credentials and renews them.
    """

    url: str
    headers: Mapping[str, str]
    signer: Any
    region: str
    signing_name: str


class SmallPuts:
    """Puts into one bucket with one client of the SDK, over the connections of that client."""

    def __init__(self, client: Any, connections: AIOHTTPSession, form: Form | None, *, bucket: str) -> None:
        self._client = client
        self._connections = connections
        self._form = form
        self._signature: PutSignature
        if form is not None:
            self._signature = PutSignature(form.url, form.headers, region=form.region, signing_name=form.signing_name)
        self._bucket = bucket
        self._model = client.meta.service_model.operation_model(OPERATION)
        self._owed = 0
        """How many successes it may take until the SDK has all its retries again."""
        client.meta.events.register_last("needs-retry.s3", self._note_failure)

    async def put(self, name: str, body: Tail, metadata: Mapping[str, str]) -> None:
        """Store an object with its metadata, `sha256` (the digest in hex) among them. Raises what the SDK raises.

        The SDK does it from end to end where the object is not small, where it would not sign by SigV4 (a directory
        bucket, no credentials), and where the bucket is found to be in another region than its settings say.
        """
        pieces = pieces_of(body)
        if self._form is not None and sum(map(len, pieces)) <= SMALL_BYTES_MAX:
            if await self._is_stored(self._form, name, pieces, metadata):
                return
            self._form = None
            _log.warning("s3_region_is_another", bucket=self._bucket, region=self._client.meta.region_name)
        whole = body if isinstance(body, Batch) else io.BytesIO(b"".join(body))
        await self._client.put_object(Bucket=self._bucket, Key=name, Body=whole, Metadata=metadata)

    async def _is_stored(
        self, form: Form, name: str, body: Sequence[bytes | memoryview], metadata: Mapping[str, str]
    ) -> bool:
        """False where the server sends us elsewhere. Raises once the SDK would not try again."""
        context: dict[str, Any] = {}
        for attempt in count(1):
            failure = await self._failure(await self._signed(form, name, body, metadata), context)
            if failure is None:
                return True
            if failure.is_elsewhere:
                return False
            delay_s = await self._retry_delay_s(failure, attempt, context)
            if delay_s is None:
                raise failure.error
            await asyncio.sleep(delay_s)
        raise AssertionError("the SDK counts attempts, and ends them")

    async def _signed(
        self, form: Form, name: str, body: Sequence[bytes | memoryview], metadata: Mapping[str, str]
    ) -> AWSPreparedRequest:
        content = Pieces(body)
        key = name.replace("@", "%40") if _PLAIN.fullmatch(name) else percent_encode(name, safe="/~")
        auth = await form.signer.get_auth_instance(form.signing_name, form.region, "s3v4")
        if auth.credentials is None:
            raise NoCredentialsError
        signed = self._signature.headers(key, metadata, auth.credentials, datetime.now(UTC))
        headers = {**form.headers, **signed, "Content-Length": str(content.size)}  # not signed by the SDK either
        return AWSPreparedRequest("PUT", form.url + key, headers, content, stream_output=False)

    async def _failure(self, request: AWSPreparedRequest, context: dict[str, Any]) -> "_Failure | None":
        try:
            answer = await self._connections.send(request)
        except BotoCoreError as error:
            return _Failure(error)
        if answer.status_code < 300:
            await self._give_quota_back(answer, context)
            return None
        parsed = self._parsed(answer, await answer.content)
        code = parsed.get("Error", {}).get("Code")
        is_elsewhere = answer.status_code in ELSEWHERE_STATUS or code in ELSEWHERE_CODES
        return _Failure(self._client.exceptions.from_code(code)(parsed, OPERATION), (answer, parsed), is_elsewhere)

    def _note_failure(self, response: tuple[Any, Any] | None, **_: Any) -> None:
        """Of any call of the client: an answer that is none, or no success, may take retries."""
        if response is None or response[0].status_code >= 300:
            self._owed = QUOTA

    async def _give_quota_back(self, answer: Any, context: dict[str, Any]) -> None:
        """As the SDK does: what succeeds gives its retries back, else after a hundred nothing would be tried again.

        While nothing failed there is none to give back, and telling the SDK's handlers of each PUT takes 25 µs.
        """
        if self._owed > 0:
            self._owed -= 1
            await self._client.meta.events.emit(
                f"after-call.s3.{OPERATION}", http_response=answer, parsed={}, model=self._model, context=context
            )

    def _parsed(self, answer: Any, body: bytes) -> dict[str, Any]:
        """What is no success, as the SDK reads it."""
        plain = {"status_code": answer.status_code, "headers": answer.headers, "body": body}
        parser = create_parser(self._client.meta.service_model.resolved_protocol)
        parsed: dict[str, Any] = parser.parse({**plain, "context": {"operation_name": OPERATION}}, None)
        return parsed

    async def _retry_delay_s(self, failure: "_Failure", attempt: int, context: dict[str, Any]) -> float | None:
        """Asks those whom the SDK asks: for its attempts, its quota of retries, its back-off."""
        said = await self._client.meta.events.emit(
            f"needs-retry.s3.{OPERATION}",
            response=failure.response,
            endpoint=None,
            operation=self._model,
            attempts=attempt,
            caught_exception=failure.error if failure.response is None else None,
            request_dict={"context": context},
        )
        delay_s: float | None = first_non_none_response(said)
        return delay_s


class _Failure(msgspec.Struct, frozen=True):
    """One attempt that did not store: what the SDK raises of it, and the answer as it came and as it was read."""

    error: Exception
    response: tuple[Any, dict[str, Any]] | None = None
    is_elsewhere: bool = False


class _Seen(Exception):
    """What the SDK was about to sign."""

    def __init__(self, form: Form | None) -> None:
        super().__init__()
        self.form = form


async def form_of(client: Any, bucket: str) -> Form | None:
    """Asks the SDK how it puts an object, and stops it before it signs: nothing is sent, and no credentials are needed.

    None where it would not sign by SigV4. The client must not be in use yet.
    """
    event = f"before-sign.s3.{OPERATION}"
    client.meta.events.register_last(event, _see)
    try:
        await client.put_object(Bucket=bucket, Key=ANY_KEY, Body=b"")
    except _Seen as seen:
        return seen.form
    finally:
        client.meta.events.unregister(event, _see)
    raise AssertionError("the SDK tells its handlers before it signs")


def _see(
    request: AWSRequest, signing_name: str, region_name: str, signature_version: str, request_signer: Any, **_: Any
) -> None:
    signing = request.context.get("signing", {})
    if signature_version != "s3v4" or "identity_cache" in signing or not request.url.endswith(f"/{ANY_KEY}"):
        raise _Seen(None)
    url = request.url.removesuffix(ANY_KEY)
    headers = {name: value for name, value in request.headers.items() if name.lower() not in NOT_COPIED}
    region, signing_name = signing.get("region") or region_name, signing.get("signing_name") or signing_name
    raise _Seen(Form(url, headers, request_signer, region, signing_name))
