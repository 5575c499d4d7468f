"""A PUT signed here is signed as the SDK signs it."""

import hashlib
from datetime import UTC, datetime

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from hypothesis import given
from hypothesis import strategies as st

from blobs.s3_signature import Signing, signed_put

PATHS = st.from_regex(r"/[a-z]{1,9}(/[A-Za-z0-9._-]{1,20}){1,3}%40[0-9a-f]{4}(\.json)?", fullmatch=True)
SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)


@given(path=PATHS, body=st.binary(max_size=100), secret=SECRETS, token=st.none() | SECRETS)
@pytest.mark.parametrize("host", ["bucket.s3.eu-central-1.amazonaws.com", "127.0.0.1:9000"])
def test_the_headers_are_those_of_the_sdk(host: str, path: str, body: bytes, secret: str, token: str | None) -> None:
    sha256 = hashlib.sha256(body).hexdigest()
    theirs = AWSRequest("PUT", f"http://{host}{path}", {"x-amz-meta-sha256": sha256}, body)
    S3SigV4Auth(ReadOnlyCredentials("AKID", secret, token), "s3", "eu-central-1").add_auth(theirs)
    now = datetime.strptime(theirs.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    ours = signed_put(Signing("AKID", secret, token, "eu-central-1"), host, path, sha256, now)
    assert ours == {"host": host, **{name.lower(): value for name, value in theirs.headers.items()}}


def test_a_secret_shows_nowhere() -> None:
    shown = repr(Signing("AKID", "very-secret", "also-secret", "eu-central-1"))
    assert "AKID" in shown
    assert "secret" not in shown
