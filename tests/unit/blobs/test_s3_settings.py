"""The settings of a bucket: ranges, and a secret that stays one."""

from typing import Any

import pytest
from rich.pretty import pretty_repr

from blobs.errors import InvalidBlobKey
from blobs.s3_settings import PART_BYTES_MIN, S3Settings


def test_the_secret_shows_nowhere() -> None:
    settings = S3Settings(bucket="b", access_key="id", secret_key="very-secret")
    for shown in (repr(settings), str(settings), f"{settings}", pretty_repr(settings)):
        assert "very-secret" not in shown
        assert "secret_key='***'" in shown


@pytest.mark.parametrize(
    "wrong",
    [
        {"bucket": ""},
        {"access_key": "id"},
        {"secret_key": "s"},
        {"part_bytes": PART_BYTES_MIN - 1},
        {"concurrency_max": 0},
        {"attempts_max": 11},
        {"connect_timeout_s": 0},
        {"read_timeout_s": 3601},
        {"call_timeout_s": -1},
    ],
    ids=str,
)
def test_a_value_outside_its_range_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must|together"):
        S3Settings(**{"bucket": "b", **wrong})


@pytest.mark.parametrize("prefix", ["/a", "a/", "a//b", "../a", "文"])
def test_a_prefix_is_a_key(prefix: str) -> None:
    with pytest.raises(InvalidBlobKey):
        S3Settings(bucket="b", prefix=prefix)
