import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.chat_stream import LINE_BYTES_MAX, ChatStream
from knowledge.errors import ProviderError
from knowledge.language_model import Finished, Usage


def line(content: str | None = None, reason: str | None = None, **others: object) -> bytes:
    chunk = {"choices": [{"delta": {"content": content}, "finish_reason": reason}], **others}
    return b"data: " + msgspec.json.encode(chunk) + b"\n\n"


WHOLE = (
    b": comment\n" + line("In ") + line("春天。") + line(None, "stop")
    + b'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2}}\r\n\r\ndata: [DONE]\n\n' + line("late")
)  # fmt: skip


@given(st.data())
def test_words_and_usage_are_read_wherever_the_bytes_are_cut(data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(WHOLE)), max_size=8)))
    stream, words = ChatStream(1_000), ""
    for start, end in zip([0, *cuts], [*cuts, len(WHOLE)], strict=True):
        words += "".join(stream.feed(WHOLE[start:end]))
    assert (words, stream.end()) == ("In 春天。", Finished(Usage(9, 2)))
    assert stream.is_over


def test_an_answer_is_cut_at_the_limit_or_says_that_the_provider_did() -> None:
    stream = ChatStream(4)
    assert "".join(stream.feed(line("abc") + line("def") + line("ghi"))) == "abcd"
    assert (stream.is_over, stream.end()) == (True, Finished(is_cut=True))
    limited = ChatStream(99)
    assert list(limited.feed(line("abc", "length"))) == ["abc"]
    assert limited.end() == Finished(is_cut=True)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (line("In "), "provider_truncated"),
        (b"", "provider_truncated"),
        (b"<html>Welcome</html>\n", "provider_truncated"),
        (b"data: <html>\n", "provider_answer"),
        (b'data: {"choices": 5}\n', "provider_answer"),
        (b"data: " + b"[" * 100_000 + b"\n", "provider_answer"),
        (b'data: "\xff"\n', "provider_answer"),
        (b"data: " + b" " * LINE_BYTES_MAX, "provider_answer"),
        (b'data: {"error": {"message": "overloaded"}}\n', "provider_failed"),
    ],
)
def test_what_is_no_whole_answer_is_an_error(content: bytes, code: str) -> None:
    stream = ChatStream(100)
    with pytest.raises(ProviderError) as failure:
        [*stream.feed(content), stream.end()]
    assert failure.value.code == code


def test_a_null_error_is_none() -> None:
    stream = ChatStream(100)
    assert list(stream.feed(line("x", "stop", error=None))) == ["x"]
