"""What a fetched document is called."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.filenames import clean_filename, filename_of_url
from processors.naming import name_of_answer


@pytest.mark.parametrize(
    ("disposition", "url", "declared", "name"),
    [
        (None, "https://example.com/a/report.pdf?x=y.exe#z", None, "report.pdf"),
        (None, "https://example.com/%E5%B9%B4%E6%8A%A5.pdf", None, "年报.pdf"),
        (None, "https://example.com/a%2F..%2Fb.txt", None, "b.txt"),
        (None, "https://example.com/guide/", "text/html; charset=utf-8", "guide.html"),
        (None, "https://example.com/", "text/html", "example.com.html"),
        (None, "https://example.com", None, "example.com"),
        (None, "https://[2606:4700::1]/", "text/plain", "2606:4700::1.txt"),
        (None, "https://example.com/v1.0", "application/json", "v1.0.json"),
        (None, "https://example.com/page.php", "text/html", "page.php"),
        ("attachment", "https://example.com/a.txt", None, "a.txt"),
        ('attachment; filename="b c.txt"', "https://example.com/a", None, "b c.txt"),
        ("attachment; filename=b.txt", "https://example.com/a", None, "b.txt"),
        ('attachment; filename="say \\"b\\".txt"', "https://example.com/a", None, 'say "b".txt'),
        ("inline; filename=b.txt; filename*=UTF-8''%E5%B9%B4.txt", "https://example.com/a", None, "年.txt"),
        ('attachment; filename="../../etc/passwd"', "https://example.com/a", None, "passwd"),
        ('attachment; filename="b"', "https://example.com/a", "text/markdown", "b.md"),
        ('attachment; filename=""', "https://example.com/a.txt", None, "a.txt"),
        ('attachment; filename=".."', "https://example.com/a.txt", None, "example.com"),
    ],
)
def test_a_document_is_called_what_its_place_says(
    disposition: str | None, url: str, declared: str | None, name: str
) -> None:
    assert name_of_answer(disposition, url, declared) == name


@given(st.text(max_size=80), st.text(max_size=40), st.text(max_size=20))
def test_every_name_is_clean(disposition: str, path: str, declared: str) -> None:
    for name in (
        name_of_answer(disposition, f"https://example.com/{path}", declared),
        filename_of_url(f"http://a/{path}"),
    ):
        assert name == clean_filename(name)
        assert name
