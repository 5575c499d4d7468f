"""Settings -> where the index is, how LanceDB reaches it, and what a wrong one is told."""

import pytest

from blobs.s3_settings import S3Settings
from millstream.errors import ExitCode, Stop
from millstream.index_location import Comparer, IndexLocation, describe, lance_options, locate_index
from millstream.settings import load_settings

KEYS = {"MILLSTREAM_S3_ACCESS_KEY": "access", "MILLSTREAM_S3_SECRET_KEY": "sk-secret"}


def located(url: str, **variables: str) -> IndexLocation:
    return locate_index(load_settings({"MILLSTREAM_INDEX_URL": url, **variables}).settings)


def test_the_index_is_in_the_data_directory_a_directory_or_a_bucket() -> None:
    assert located("", MILLSTREAM_DATA_DIR="/var/mill").uri == "/var/mill/index"
    assert located("/srv/index").uri == "/srv/index"
    assert located("file:///srv/my%20index").uri == "/srv/my index"
    for url, uri in (("s3://mill/index/", "s3://mill/index"), ("s3://mill", "s3://mill")):
        assert located(url, **KEYS).uri == uri


@pytest.mark.parametrize(
    ("url", "variables", "words"),
    [
        ("gs://mill/index", {}, "cannot begin with gs"),
        ("s3:///index", KEYS, "bucket must be named"),
        ("s3://mill/index", {"MILLSTREAM_S3_ACCESS_KEY": "access"}, "come together"),
        ("s3://mill/a//b", KEYS, "segment that is empty"),
    ],
)
def test_what_names_no_place_is_told_what_to_use(url: str, variables: dict[str, str], words: str) -> None:
    with pytest.raises(Stop, match=words) as stopped:
        located(url, **variables)
    assert stopped.value.exit_code is ExitCode.CONFIGURATION
    assert "s3://bucket/prefix" in (stopped.value.hint or "")
    assert "sk-secret" not in str(stopped.value)


def test_a_server_of_ones_own_is_reached_by_path_and_amazon_by_name() -> None:
    own = lance_options(S3Settings(bucket="mill", endpoint_url="http://s3:9000", access_key="a", secret_key="s"))
    assert (own["aws_endpoint"], own["allow_http"]) == ("http://s3:9000", "true")
    assert (own["aws_virtual_hosted_style_request"], own["aws_disable_bulk_delete"]) == ("false", "true")
    assert (own["aws_access_key_id"], own["aws_secret_access_key"]) == ("a", "s")
    assert lance_options(S3Settings(bucket="mill", endpoint_url="https://s3"))["allow_http"] == "false"
    amazon = lance_options(S3Settings(bucket="mill", region="eu-central-1", call_timeout_s=30))
    assert (amazon["aws_region"], amazon["timeout"]) == ("eu-central-1", "30s")
    assert (amazon["aws_virtual_hosted_style_request"], amazon["aws_disable_bulk_delete"]) == ("true", "false")
    assert not {"aws_endpoint", "allow_http", "aws_access_key_id", "aws_secret_access_key"} & set(amazon)


def test_it_is_told_who_compares_commits() -> None:
    place = IndexLocation("s3://mill/index")
    assert describe(IndexLocation("/srv/index"), Comparer.DIRECTORY) == "/srv/index"
    assert "the S3 server compares" in describe(place, Comparer.SERVER)
    assert "Redis compares" in describe(place, Comparer.REDIS)


@pytest.mark.parametrize(
    ("url", "uri"),
    [
        ("qdrant+http://qdrant:6333/mill", "qdrant+http://qdrant:6333/mill"),
        ("qdrant+https://cluster.example.com", "qdrant+https://cluster.example.com:6333/millstream"),
        ("qdrant+http://[::1]:7000/", "qdrant+http://[::1]:7000/millstream"),
    ],
)
def test_the_index_is_on_a_qdrant_server_under_a_name(url: str, uri: str) -> None:
    location = located(url)
    assert location.uri == uri
    assert location.bucket is None
    assert "the Qdrant server compares" in describe(location, Comparer.QDRANT)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("qdrant+http:///mill", "no host"),
        ("qdrant+http://qdrant:99999", "port"),
        ("qdrant+http://:qk-secret@qdrant:6333", "MILLSTREAM_QDRANT_API_KEY"),
        ("qdrant+http://qdrant:6333/a/b", "one name"),
        ("qdrant+http://qdrant:6333/磨", "one name"),
        ("qdrant+http://qdrant:6333/mill?x=1", "one name"),
    ],
)
def test_what_names_no_qdrant_server_is_told_what_to_use(url: str, words: str) -> None:
    with pytest.raises(Stop, match=words) as stopped:
        located(url)
    assert stopped.value.exit_code is ExitCode.CONFIGURATION
    assert "qdrant+http://host:6333/name" in (stopped.value.hint or "")
    assert "qk-secret" not in str(stopped.value)
