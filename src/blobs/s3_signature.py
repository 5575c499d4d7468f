"""AWS Signature Version 4 of one kind of request: a whole object put into one bucket. Pure.

botocore signs whatever there is, in plain Python: five times as much, most of it for what is the same in every PUT.
Here that is worked out once, by botocore, and the signing key once a day. Each signature is what botocore's would be,
which is a law (`tests/unit/blobs/test_s3_signature.py`).
docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest

ALGORITHM: Final = "AWS4-HMAC-SHA256"
SCOPE_END: Final = "aws4_request"


class PutSignature:
    """Signs PUTs below `url` with these headers, `host` among them or not. Keeps one signing key."""

    def __init__(self, url: str, headers: Mapping[str, str], *, region: str, signing_name: str) -> None:
        self._path = urlsplit(url).path
        self._scope_of = f"{region}/{signing_name}/{SCOPE_END}"
        self._places = (region, signing_name, SCOPE_END)
        auth = S3SigV4Auth(None, signing_name, region)
        lines = auth.canonical_headers(auth.headers_to_sign(AWSRequest("PUT", url, dict(headers)))).split("\n")
        self._fixed = dict(line.split(":", 1) for line in lines)
        self._key_of: tuple[str, str] | None = None
        self._key = b""

    def headers(self, name: str, metadata: Mapping[str, str], credentials: Any, at: datetime) -> dict[str, str]:
        """What a PUT of this object (its name as it is in the URL) is sent with besides the fixed headers.

        `metadata` has the digest of the bytes (hex) as `sha256`; no value has spaces in it. `at` is UTC.
        """
        stamp, digest = at.strftime("%Y%m%dT%H%M%SZ"), metadata["sha256"]
        sent = {f"x-amz-meta-{field}": value for field, value in metadata.items()}
        sent["x-amz-content-sha256"], sent["x-amz-date"] = digest, stamp
        if credentials.token:
            sent["x-amz-security-token"] = credentials.token
        signed = sorted({**self._fixed, **sent}.items())
        names = ";".join([field for field, _ in signed])
        lines = [f"{field}:{value}" for field, value in signed]
        canonical = "\n".join(["PUT", f"{self._path}{name}", "", *lines, "", names, digest])
        scope = f"{stamp[:8]}/{self._scope_of}"
        to_sign = f"{ALGORITHM}\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        signature = hmac.digest(self._signing_key(credentials.secret_key, stamp[:8]), to_sign.encode(), "sha256").hex()
        credential = f"Credential={credentials.access_key}/{scope}"
        sent["Authorization"] = f"{ALGORITHM} {credential}, SignedHeaders={names}, Signature={signature}"
        return sent

    def _signing_key(self, secret: str, day: str) -> bytes:
        if self._key_of != (secret, day):
            self._key = f"AWS4{secret}".encode()
            for part in (day, *self._places):
                self._key = hmac.digest(self._key, part.encode(), "sha256")
            self._key_of = (secret, day)
        return self._key
