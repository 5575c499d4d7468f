"""Messages verify with the library that the authors of the specification publish; secrets stay where they are."""

import base64
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from tests.webhook_samples import OTHER_SECRET, SECRET
from webhooks.signing import SECRET_BYTES, Secrets, callback_secret, headers_of, new_secret, rotated

ID = "msg_00" + "a" * 32
BODIES = st.text(st.characters(exclude_categories=["Cs"]), max_size=200).map(lambda text: text.encode())


def now_s() -> int:
    return int(time.time())


@given(body=BODIES, random=st.binary(min_size=SECRET_BYTES, max_size=SECRET_BYTES))
def test_what_is_signed_verifies_with_the_published_library(body: bytes, random: bytes) -> None:
    secret = new_secret(random)
    headers = headers_of(ID, now_s(), body, (secret,))
    Webhook(secret).verify(body, headers, json_parse=False)


@pytest.mark.parametrize("secret", [SECRET, OTHER_SECRET])
def test_during_a_rotation_whoever_has_either_secret_accepts_the_message(secret: str) -> None:
    secrets = rotated(Secrets(current=SECRET), bytes(SECRET_BYTES), until_us=9, rotation=None)
    headers = headers_of(ID, now_s(), b"{}", (*secrets.at(8), OTHER_SECRET))
    assert headers["webhook-signature"].count("v1,") == 3
    Webhook(secret).verify(b"{}", headers)


def test_after_the_overlap_the_previous_secret_signs_nothing() -> None:
    secrets = rotated(Secrets(current=SECRET), bytes(SECRET_BYTES), until_us=9, rotation=None)
    assert secrets.at(8) == (secrets.current, SECRET)
    assert secrets.at(9) == (secrets.current,)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(b"{}", headers_of(ID, now_s(), b"{}", secrets.at(9)))


@pytest.mark.parametrize(
    ("message_id", "timestamp_s", "body"),
    [("msg_00" + "b" * 32, 0, b"{}"), (ID, 1, b"{}"), (ID, 0, b"{ }")],
    ids=["id", "timestamp", "body"],
)
def test_whatever_is_changed_on_the_way_is_noticed(message_id: str, timestamp_s: int, body: bytes) -> None:
    at_s = now_s()
    signed = headers_of(ID, at_s, b"{}", (SECRET,))["webhook-signature"]
    headers = {"webhook-id": message_id, "webhook-timestamp": str(at_s + timestamp_s), "webhook-signature": signed}
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body, headers)


def test_a_message_that_is_played_again_after_minutes_is_refused() -> None:
    with pytest.raises(WebhookVerificationError, match="too old"):
        Webhook(SECRET).verify(b"{}", headers_of(ID, now_s() - 301, b"{}", (SECRET,)))


def test_b127_a_secret_has_as_many_bytes_as_the_specification_asks_for() -> None:
    for secret in (new_secret(bytes(SECRET_BYTES)), callback_secret(bytes(32), "anonymous")):
        assert secret.startswith("whsec_")
        assert 24 <= len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) <= 64
    with pytest.raises(ValueError, match="32 random bytes"):
        new_secret(bytes(8))


def test_b127_no_representation_shows_a_secret() -> None:
    secrets = rotated(Secrets(current=SECRET), bytes(SECRET_BYTES), until_us=9, rotation=None)
    for secret in (SECRET, secrets.current):
        assert secret.removeprefix("whsec_") not in f"{secrets!r} {secrets}"


def test_callbacks_of_one_actor_have_one_secret_and_another_one_elsewhere() -> None:
    secret = callback_secret(bytes(32), "key_1")
    assert callback_secret(bytes(32), "key_1") == secret
    assert len({secret, callback_secret(bytes(32), "key_2"), callback_secret(b"\1" * 32, "key_1")}) == 3
