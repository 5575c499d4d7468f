"""Our signature of a PUT is botocore's, whatever is put, by whom and when."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from blobs.s3_signature import PutSignature

TOKENS = st.text("ABCxyz0189-._~", min_size=1, max_size=12)
BASE64 = st.text("ABCxyz0189+/=", min_size=1, max_size=40)
NAMES = st.lists(st.text("abcXYZ019-._@%2F", min_size=1, max_size=12), min_size=1, max_size=4).map("/".join)
URLS = st.sampled_from(
    ["http://127.0.0.1:9000/bucket/", "https://bucket.s3.eu-west-1.amazonaws.com/", "https://host:443/a/b%20c/"]
)
HEADERS = st.dictionaries(
    st.sampled_from(
        ["User-Agent", "X-Amz-Acl", "x-amz-storage-class", "Host", "Content-Type", "x-amz-expected-bucket"]
    ),
    st.sampled_from(["a", "two  words ", "STANDARD_IA", "text/plain;  charset=utf-8"]),
)
CREDENTIALS = st.builds(Credentials, TOKENS, BASE64, st.none() | BASE64)


class Botocores(S3SigV4Auth):  # type: ignore[misc]  # botocore publishes no types
    def payload(self, request: AWSRequest) -> str:
        return str(request.headers["x-amz-meta-sha256"])


def botocores(url: str, headers: Mapping[str, str], credentials: Any, region: str, service: str) -> Mapping[str, str]:
    request = AWSRequest("PUT", url, dict(headers))
    Botocores(credentials, service, region).add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()}


@given(
    URLS,
    HEADERS,
    st.lists(
        st.tuples(
            NAMES,
            st.dictionaries(st.sampled_from(["millstream-sidecar", "a"]), BASE64),
            st.text("0af", min_size=64, max_size=64),
        ),
        min_size=1,
        max_size=3,
    ),
    CREDENTIALS,
    st.sampled_from([("us-east-1", "s3"), ("auto", "s3"), ("eu-west-1", "s3-outposts")]),
)
def test_each_of_several_signatures_is_the_one_that_botocore_makes(
    url: str,
    headers: dict[str, str],
    puts: list[tuple[str, dict[str, str], str]],
    credentials: Credentials,
    place: tuple[str, str],
) -> None:
    region, service = place
    signature = PutSignature(url, headers, region=region, signing_name=service)
    for name, more, sha256 in puts:
        metadata = {"sha256": sha256, **more}
        fields = {f"x-amz-meta-{field}": value for field, value in metadata.items()}
        expected = botocores(url + name, {**headers, **fields}, credentials, region, service)
        at = datetime.strptime(expected["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        sent = signature.headers(name, metadata, credentials, at)
        assert {**{field.lower(): value for field, value in headers.items()}, **lowered(sent)} == expected


@given(st.lists(st.tuples(CREDENTIALS, st.datetimes(timezones=st.just(UTC))), max_size=6))
def test_a_signature_does_not_depend_on_the_ones_before_it(signers: list[tuple[Credentials, datetime]]) -> None:
    """Credentials are renewed, and days end, while one signing key is kept."""
    kept = PutSignature("http://host/bucket/", {}, region="us-east-1", signing_name="s3")
    for credentials, at in signers:
        fresh = PutSignature("http://host/bucket/", {}, region="us-east-1", signing_name="s3")
        asked = ("key", {"sha256": "00"}, credentials, at)
        assert kept.headers(*asked) == fresh.headers(*asked)


def lowered(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
