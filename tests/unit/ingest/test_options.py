"""The options of an upload, its idempotency key and fingerprint."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from events.document import Metadata, OnDuplicate
from events.steps import Lane
from ingest.idempotency import Sent, idempotency_key, request_sha256
from ingest.options import METADATA_ENTRIES_MAX, UploadOptions, metadata_with_path, parse_options
from ingest.problems import ProblemCode, Rejected
from ingest.settings import IngestSettings

NOW_US = 1_700_000_000_000_000
SETTINGS = IngestSettings()


def test_options_are_read() -> None:
    raw = (
        '{"metadata": {"年": 2024, "draft": false, "ratio": 0.5, "by": "磨坊"}, "lane": "bulk",'
        ' "not_before": "2023-11-15T00:00:00+08:00", "on_duplicate": "replace"}'
    )
    options = parse_options(raw.encode(), SETTINGS, NOW_US)
    assert options.metadata == {"年": 2024, "draft": False, "ratio": 0.5, "by": "磨坊"}
    assert options.lane is Lane.BULK
    assert options.not_before_us == 1_699_977_600_000_000
    assert options.duplicates is OnDuplicate.REPLACE


def test_nothing_is_needed() -> None:
    assert parse_options(b"{}", SETTINGS, NOW_US) == UploadOptions()


@pytest.mark.parametrize(
    ("raw", "code", "pointer"),
    [
        (b"", ProblemCode.INVALID_JSON, "/options"),
        (b"{", ProblemCode.INVALID_JSON, "/options"),
        (b'{"lane": "\xff"}', ProblemCode.INVALID_JSON, "/options"),
        (b'{"x": ' + b"[" * 100_000, ProblemCode.VALIDATION_FAILED, "/options/x"),
        (b"[]", ProblemCode.VALIDATION_FAILED, "/options"),
        (b'{"lan": "bulk"}', ProblemCode.VALIDATION_FAILED, "/options/lan"),
        (b'{"on_duplicate": "maybe"}', ProblemCode.VALIDATION_FAILED, "/options/on_duplicate"),
        (b'{"lane": "fast"}', ProblemCode.VALIDATION_FAILED, "/options/lane"),
        (b'{"metadata": {"a": null}}', ProblemCode.VALIDATION_FAILED, "/options/metadata"),
        (b'{"metadata": {"a": [1]}}', ProblemCode.VALIDATION_FAILED, "/options/metadata"),
        (b'{"metadata": {"": 1}}', ProblemCode.VALIDATION_FAILED, "/options/metadata"),
        (b'{"metadata": {"a": "\\u0000"}}', ProblemCode.VALIDATION_FAILED, "/options/metadata"),
        (b'{"metadata": {"a": 18446744073709551616}}', ProblemCode.VALIDATION_FAILED, "/options/metadata"),
        (b'{"not_before": "2023-11-15T00:00:00"}', ProblemCode.VALIDATION_FAILED, "/options/not_before"),
        (b'{"not_before": "9999-01-01T00:00:00Z"}', ProblemCode.VALIDATION_FAILED, "/options/not_before"),
    ],
)
def test_wrong_options_are_refused_at_their_place(raw: bytes, code: ProblemCode, pointer: str) -> None:
    with pytest.raises(Rejected) as caught:
        parse_options(raw, SETTINGS, NOW_US)
    assert caught.value.code is code
    assert caught.value.errors[0].pointer == pointer


def test_metadata_that_no_event_could_hold_is_refused() -> None:
    entries = ",".join(f'"{number}": "{"x" * 1_900}"' for number in range(20))
    with pytest.raises(Rejected) as caught:
        parse_options(f'{{"metadata": {{{entries}}}}}'.encode(), SETTINGS, NOW_US)
    assert caught.value.errors[0].pointer == "/options/metadata"


@pytest.mark.parametrize("key", ["", "a" * 256, "with blank", "é", "tab\t"])
def test_a_wrong_idempotency_key_is_refused(key: str) -> None:
    with pytest.raises(Rejected) as caught:
        idempotency_key(Headers(raw=[(b"idempotency-key", key.encode())]))
    assert caught.value.code is ProblemCode.BAD_IDEMPOTENCY_KEY


def test_two_idempotency_keys_are_refused_and_none_is_fine() -> None:
    with pytest.raises(Rejected):
        idempotency_key(Headers(raw=[(b"idempotency-key", b"a"), (b"idempotency-key", b"b")]))
    assert idempotency_key(Headers({})) is None
    assert idempotency_key(Headers({"idempotency-key": "a" * 255})) == "a" * 255


SENT = st.lists(st.builds(Sent, st.text(max_size=8), st.text("0123456789abcdef", max_size=8), st.integers(0, 99)))


@given(SENT, SENT)
def test_fingerprints_are_equal_exactly_where_the_requests_are(one: list[Sent], other: list[Sent]) -> None:
    options = UploadOptions()
    assert (request_sha256(one, options) == request_sha256(other, options)) == (one == other)


def test_the_order_of_metadata_makes_no_other_request_but_its_values_do() -> None:
    one = UploadOptions(metadata={"a": 1, "b": 2})
    assert request_sha256([], one) == request_sha256([], UploadOptions(metadata={"b": 2, "a": 1}))
    assert request_sha256([], one) != request_sha256([], UploadOptions(metadata={"b": 2, "a": True}))


@pytest.mark.parametrize(
    "wrong", [{"files_max": 0}, {"files_max": 5_000}, {"upload_bytes_max": 0}, {"request_bytes_max": 2_000}]
)
def test_a_setting_out_of_range_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="_max"):
        IngestSettings(**wrong)


def test_a_path_becomes_metadata_where_the_client_says_nothing_of_that_name_and_there_is_room() -> None:
    small = IngestSettings(metadata_bytes_max=1_024)
    assert metadata_with_path({"year": 2026}, "a/b.md", SETTINGS) == {"year": 2026, "path": "a/b.md"}
    assert metadata_with_path({"path": "mine"}, "a/b.md", SETTINGS) == {"path": "mine"}
    assert metadata_with_path({}, None, SETTINGS) == {}
    assert metadata_with_path({}, "a/" * 600 + "b.md", small) == {}
    full: Metadata = {str(number): number for number in range(METADATA_ENTRIES_MAX)}
    assert metadata_with_path(full, "a/b.md", SETTINGS) == full
