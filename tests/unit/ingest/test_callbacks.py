"""A callback_url among the options: checked when it comes in, announced before its task, part of the fingerprint."""

import msgspec
import pytest

from ingest.callbacks import Callbacks, expect_callback, refuse_callback
from ingest.idempotency import Sent, request_sha256
from ingest.options import UploadOptions, parse_options
from ingest.problems import Rejected
from ingest.settings import IngestSettings
from outbound.guard import Guard
from outbound.memory_resolver import MemoryResolver
from outbound.rules import rules_of

RESOLVER = MemoryResolver(
    {
        "public.example": ["93.184.216.34"],
        "mixed.example": ["93.184.216.34", "10.0.0.1"],
        "many.example": [f"93.184.{number // 250}.{number % 250 + 1}" for number in range(1_000)],
    }
)
expected: list[str] = []


async def expect() -> None:
    expected.append("a callback")


CALLBACKS = Callbacks(Guard(rules_of("", "80,443"), RESOLVER).check_url, expect)


def with_callback(url: str) -> UploadOptions:
    return UploadOptions(callback_url=url)


@pytest.mark.parametrize(
    ("url", "code"),
    [
        *(
            (url, "url_scheme_not_allowed")
            for url in ("file:///x", "gopher://a/", "javascript:alert(1)", "x", "http:///x")
        ),
        *(
            (f"http://{host}/", "url_address_denied")
            for host in (
                "127.1",
                "2130706433",
                "localhost",
                "[::1]",
                "169.254.169.254",
                "[fe80::1%25eth0]",
                "mixed.example",
            )
        ),
        ("http://nowhere.example/", "url_unresolvable"),
        ("http://many.example/", "url_unresolvable"),
        ("http://public.example/\r\nX: 1", "url_invalid"),
        ("http://user@public.example/", "url_invalid"),
    ],
)
async def test_b120_to_b123_a_callback_that_we_may_not_call_is_refused_at_its_place(url: str, code: str) -> None:
    with pytest.raises(Rejected) as refused:
        await refuse_callback(CALLBACKS, with_callback(url))
    assert (refused.value.code.value, refused.value.errors[0].pointer) == (code, "/options/callback_url")


async def test_a_public_one_is_taken_and_so_is_none() -> None:
    await refuse_callback(CALLBACKS, with_callback("https://public.example/done?task=1"))
    await refuse_callback(CALLBACKS, UploadOptions())


async def test_where_nothing_is_called_back_from_it_is_refused() -> None:
    with pytest.raises(Rejected) as refused:
        await refuse_callback(None, with_callback("https://public.example/"))
    assert refused.value.errors[0].pointer == "/options/callback_url"


async def test_a_callback_is_announced_and_nothing_else_is() -> None:
    expected.clear()
    await expect_callback(CALLBACKS, None)
    assert expected == []
    await expect_callback(CALLBACKS, "https://public.example/")
    assert expected == ["a callback"]


def test_options_with_another_callback_are_another_request_and_without_one_the_same_as_ever() -> None:
    sent = [Sent("a.txt", "ab" * 32, 1)]
    asked = [parse_options(raw, IngestSettings(), 0) for raw in (b"{}", b'{"callback_url": "https://a.example/"}')]
    plain, called = (request_sha256(sent, options) for options in asked)
    assert plain == request_sha256(sent, UploadOptions()) != called
    assert b"callback_url" not in msgspec.msgpack.encode(UploadOptions())
