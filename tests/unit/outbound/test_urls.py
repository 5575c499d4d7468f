"""URLs in their one form, and those that are none that we call."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbound.errors import SCHEME_NOT_ALLOWED, URL_INVALID, UrlRefused
from outbound.urls import joined, parse_url

NO_SCHEME_OF_OURS = (
    *("file:///etc/passwd", "gopher://x/", "ftp://x/", "data:text/plain,x", "jar:http://x!/", "dict://x:1/"),
    *("javascript:alert(1)", "example.com", "//example.com", "http:///x", "http://", "https:example.com", "", "http:"),
    *("httpx://example.com", "unix:///run/x", "mailto:a@example.com", "http:/example.com", "http://?x", "http://#x"),
)
INVALID = (
    *(
        "http://a b/",
        " http://example.com",
        "http://example.com\n",
        "http://example.com/\x00",
        "http://user@example.com",
    ),
    *("http://user:secret@example.com/", "http://public.example\\@127.0.0.1/", "http://example.com:0/"),
    *("http://example.com:65536/", "http://example.com:" + "9" * 400, "http://example.com:80:80/", "http://[::1/"),
    *(
        "http://[::1]x/",
        "http://[zz]/",
        "http://a..example/",
        "http://.example/",
        "http://example..",
        "http://-a.example",
    ),
    *(
        "http://%31%32%37.0.0.1/",
        "http://" + "a" * 64 + ".example/",
        "http://" + "a." * 130 + "b/",
        "http://256.1.1.1/",
    ),
    *("http://1.2.3.4.5/", "http://0x1ffffffff/", "http://08.1.1.1/", "http://a.1/", "http://1..1/"),
    *("http://example.com/\ud800", "http://" + "a" * 2_050, "http://ex*mple.com/", "http://xn--\u00df.example/"),
)


@pytest.mark.parametrize("text", NO_SCHEME_OF_OURS)
def test_whatever_is_no_http_url_of_a_host_is_refused(text: str) -> None:
    with pytest.raises(UrlRefused) as refused:
        parse_url(text)
    assert refused.value.code == SCHEME_NOT_ALLOWED


@pytest.mark.parametrize("text", INVALID)
def test_a_url_that_readers_could_understand_differently_is_refused(text: str) -> None:
    with pytest.raises(UrlRefused) as refused:
        parse_url(text)
    assert refused.value.code == URL_INVALID


@pytest.mark.parametrize(
    ("text", "address"),
    [
        *((f"http://{form}/", "127.0.0.1") for form in ("127.0.0.1", "127.1", "127.0.1", "0x7f000001", "2130706433")),
        *(
            (f"http://{form}/", "127.0.0.1")
            for form in ("0177.0.0.1", "0x7f.1", "①②⑦.⓪.⓪.①", "127.0.0.1.", "１２７。0。0。1")
        ),
        ("http://0/", "0.0.0.0"),  # noqa: S104  asked for, not bound
        ("http://0x/", "0.0.0.0"),  # noqa: S104
        ("http://[::1]/", "::1"),
        ("http://[::ffff:127.0.0.1]:80/", "::ffff:127.0.0.1"),
        ("HTTP://[2606:4700:4700:0:0:0:0:1111]/", "2606:4700:4700::1111"),
    ],
)
def test_an_address_is_the_same_however_it_is_written(text: str, address: str) -> None:
    assert parse_url(text).place.host == ip_address(address)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("http://Example.COM", "http://example.com/"),
        ("https://example.com.:443/a?b=c#d", "https://example.com/a?b=c"),
        ("http://example.com:8080?x", "http://example.com:8080/?x"),
        ("http://example.com:/", "http://example.com/"),
        ("https://bücher.example/über uns?q=ü", "https://xn--bcher-kva.example/%C3%BCber%20uns?q=%C3%BC"),
        ("http://例え.テスト/", "http://xn--r8jz45g.xn--zckzah/"),
        ("http://example.com/100%/a%20b/%ff", "http://example.com/100%/a%20b/%ff"),
        ("http://a_b.example/", "http://a_b.example/"),
        ("http://[2606:4700::1]:8080/", "http://[2606:4700::1]:8080/"),
    ],
)
def test_a_url_has_one_form(text: str, form: str) -> None:
    assert str(parse_url(text)) == form
    assert parse_url(form) == parse_url(text)


@pytest.mark.parametrize(
    ("location", "form"),
    [
        ("/x", "https://example.com/x"),
        ("y?z", "https://example.com/a/y?z"),
        ("//other.example/", "https://other.example/"),
        ("http://other.example", "http://other.example/"),
        ("", "https://example.com/a/b"),
    ],
)
def test_a_redirect_leads_on_from_where_it_was_said(location: str, form: str) -> None:
    assert str(joined(parse_url("https://example.com/a/b"), location)) == form


@pytest.mark.parametrize("location", ["file:///etc/passwd", "http://[", "javascript:x", "http://u:p@example.com/"])
def test_a_redirect_is_refused_where_it_leads_to_nothing_that_we_call(location: str) -> None:
    with pytest.raises(UrlRefused):
        joined(parse_url("https://example.com/"), location)


@given(st.text(max_size=60), st.sampled_from(["", "http://", "https://[", "http://a/"]))
def test_any_text_is_a_url_or_refused(text: str, start: str) -> None:
    try:
        url = parse_url(start + text)
    except UrlRefused:
        return
    assert parse_url(str(url)) == url
    assert str(url).isascii()
