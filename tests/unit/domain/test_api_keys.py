"""A key is known by its form, compared in constant time, and good until it is revoked, expires or is rotated."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from domain.access import Scope
from domain.api_keys import (
    KEY_CHARS,
    KeyRecord,
    NewKey,
    PresentedKey,
    new_key,
    opens,
    parse_key,
    revoked,
    rotated,
)
from domain.errors import RefusalCode, Refused
from tests.strategies import KNOWLEDGE_BASE

ID = "0123456789abcdef"
NOW_US = 1_000_000
READER = NewKey(name="reader", scopes=(Scope.READ,))
secrets = st.binary(min_size=32, max_size=32)


def made(asked: NewKey = READER, secret: bytes = bytes(32)) -> tuple[KeyRecord, PresentedKey, str]:
    record, text = new_key(asked, key_id=ID, secret=secret, now_us=NOW_US, created_by="command line")
    presented = parse_key(text)
    assert presented is not None
    return record, presented, text


@given(secrets)
def test_what_is_made_is_recognised_and_opens(secret: bytes) -> None:
    record, presented, text = made(secret=secret)

    assert len(text) == KEY_CHARS
    assert text.startswith(f"ms_{ID}_")
    assert opens(record, presented, NOW_US)


@given(secrets)
def test_the_record_holds_the_digest_of_the_secret_and_not_the_secret(secret: bytes) -> None:
    record, _, text = made(secret=secret)
    shown = text.split("_")[2]

    assert record.secret_sha256 == hashlib.sha256(shown.encode()).hexdigest()
    assert shown not in repr(record)


@given(secrets, st.integers(0, KEY_CHARS - 1), st.sampled_from("0aZ_-"))
def test_one_character_that_is_wrong_is_noticed_without_asking_anybody(secret: bytes, at: int, other: str) -> None:
    _, _, text = made(secret=secret)
    changed = text[:at] + other + text[at + 1 :]

    assert changed == text or parse_key(changed) is None


@pytest.mark.parametrize(
    "text",
    [
        *("", "ms_", "Bearer", "ms_" + "a" * 67, "sk-" + "a" * 67, "x" * KEY_CHARS, "a" * 10_000, "\0" * KEY_CHARS),
        *(
            "ключ" * 20,
            "ms_" + "０" * 16 + "_" + "a" * 43 + "_" + "a" * 6,
            "ms_0123456789ABCDEF_" + "a" * 43 + "_000000",
        ),
        made()[2] + "\n",
        " " + made()[2],
        made()[2].upper(),
        made()[2].replace("ms_", "xx_"),
    ],
    ids=lambda text: repr(text[:12]),
)
def test_what_is_no_key_is_none_whatever_it_is(text: str) -> None:
    assert parse_key(text) is None


@given(st.text(max_size=200))
def test_any_text_is_parsed(text: str) -> None:
    assert parse_key(text) is None


def test_an_unknown_id_opens_nothing() -> None:
    _, presented, _ = made()

    assert not opens(None, presented, NOW_US)


def test_another_secret_opens_nothing() -> None:
    record, _, _ = made()
    _, other, _ = made(secret=b"\1" * 32)

    assert not opens(record, other, NOW_US)


def test_a_revoked_key_opens_nothing_and_is_revoked_once() -> None:
    record, presented, _ = made()
    after = revoked(record, NOW_US + 5)

    assert not opens(after, presented, NOW_US + 6)
    assert revoked(after, NOW_US + 9) == after


def test_a_key_opens_until_it_expires() -> None:
    record, presented, _ = made(replace(READER, expires_at_us=NOW_US + 10))

    assert opens(record, presented, NOW_US + 9)
    assert not opens(record, presented, NOW_US + 10)


def test_after_a_rotation_both_secrets_open_until_the_overlap_is_over() -> None:
    record, old, _ = made()
    after, text = rotated(record, secret=b"\2" * 32, now_us=NOW_US, overlap_us=100)
    new = parse_key(text)
    assert new is not None

    assert [opens(after, key, NOW_US + 99) for key in (old, new)] == [True, True]
    assert [opens(after, key, NOW_US + 100) for key in (old, new)] == [False, True]
    assert new.id == old.id


def test_a_rotation_without_overlap_ends_the_old_secret_at_once() -> None:
    record, old, _ = made()
    after, _ = rotated(record, secret=b"\2" * 32, now_us=NOW_US, overlap_us=0)

    assert not opens(after, old, NOW_US)


def test_a_revoked_key_is_not_rotated() -> None:
    record, _, _ = made()

    with pytest.raises(Refused) as refused:
        rotated(revoked(record, NOW_US), secret=bytes(32), now_us=NOW_US, overlap_us=0)

    assert refused.value.code is RefusalCode.KEY_ENDED


@pytest.mark.parametrize(
    "asked",
    [
        replace(READER, name="  "),
        replace(READER, name="a\nb"),
        replace(READER, name="a" * 101),
        replace(READER, scopes=()),
        replace(READER, expires_at_us=NOW_US),
        replace(READER, knowledge_bases=()),
        replace(READER, knowledge_bases=(KNOWLEDGE_BASE,) * 101),
        replace(READER, knowledge_bases=(KNOWLEDGE_BASE,), scopes=(Scope.ADMIN,)),
    ],
)
def test_a_key_that_makes_no_sense_is_refused(asked: NewKey) -> None:
    with pytest.raises(Refused) as refused:
        made(asked)

    assert refused.value.code is RefusalCode.VALIDATION_FAILED
