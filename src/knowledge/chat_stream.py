"""The stream of an OpenAI-compatible chat completion, read line by line. Pure.

Server-sent events (WHATWG HTML, section 9.2) of which only `data` lines count: JSON each, `[DONE]` the last.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from knowledge.errors import ProviderError
from knowledge.language_model import Finished, Piece, Usage

LINE_BYTES_MAX: Final = 1024 * 1024
_DETAIL_CHARS_MAX: Final = 200


class _Delta(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Delta = msgspec.field(default_factory=_Delta)
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: msgspec.Raw = msgspec.Raw()


_decoder = msgspec.json.Decoder(_Chunk)


class ChatStream:
    """Takes bytes as they come and gives what they say; `end` tells whether it was all. `text_chars_max` are taken."""

    def __init__(self, text_chars_max: int) -> None:
        self._chars_left = text_chars_max
        self._line = bytearray()
        self._usage = Usage()
        self._reason: str | None = None
        self._is_done = False
        self._is_over_limit = False

    @property
    def is_over(self) -> bool:
        """Nothing that still comes would be used."""
        return self._is_done or self._is_over_limit

    def feed(self, part: bytes) -> Iterator[str]:
        """The words in it. Raises ProviderError for what is no such stream."""
        self._line += part
        *lines, rest = bytes(self._line).split(b"\n")
        self._line = bytearray(rest)
        if len(self._line) > LINE_BYTES_MAX:
            raise ProviderError("provider_answer", f"a line of the answer has more than {LINE_BYTES_MAX:,} bytes")
        for line in lines:
            yield from self._words_of(line.rstrip(b"\r"))

    def end(self) -> Piece:
        """How it ended. Raises ProviderError where it broke off."""
        if self._reason is None and not self.is_over:
            raise ProviderError("provider_truncated", "the answer broke off")
        return Finished(self._usage, is_cut=self._is_over_limit or self._reason == "length")

    def _words_of(self, line: bytes) -> Iterator[str]:
        field, _, value = line.partition(b":")
        data = value.strip()
        if field != b"data" or not data or self.is_over:
            return
        if data == b"[DONE]":
            self._is_done = True
            return
        try:
            chunk = _decoder.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ProviderError("provider_answer", f"the answer is no chat completion: {error}") from error
        if chunk.error and bytes(chunk.error) != b"null":
            detail = bytes(chunk.error).decode("utf-8", "replace")[:_DETAIL_CHARS_MAX]
            raise ProviderError("provider_failed", f"the provider broke off: {detail}")
        if chunk.usage is not None:
            self._usage = Usage(chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
        for choice in chunk.choices[:1]:
            self._reason = choice.finish_reason or self._reason
            yield from self._within_limit(choice.delta.content or "")

    def _within_limit(self, words: str) -> Iterator[str]:
        taken = words[: self._chars_left]
        self._is_over_limit = len(words) > self._chars_left
        self._chars_left -= len(taken)
        if taken:
            yield taken
