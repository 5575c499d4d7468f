"""ParsedText to chunks, through LlamaIndex's splitters.

LlamaIndex is imported when the first chunker is made (2.6 s): only workers that chunk pay for it. Its splitters are
asked for disjoint pieces; overlap and places are computed here, because the place that LlamaIndex reports is the
first text that looks alike, which in repetitive text is another one.
"""

import re
from collections.abc import Callable, Iterator
from enum import StrEnum
from itertools import pairwise
from typing import Protocol, assert_never

from knowledge.chunk import Chunk, chunk_ids, count_tokens
from knowledge.errors import ParseError, ParseErrorCode
from knowledge.sentences import split_sentences
from knowledge.text import ParsedText

SIZE_TOKENS_DEFAULT = 256
SIZE_TOKENS_MIN = 16
SIZE_TOKENS_MAX = 8_192
OVERLAP_TOKENS_DEFAULT = 32

# A section below a quarter of a chunk is joined with the next: a heading with one line under it finds little alone.
SECTION_FRACTION_MIN = 4

# Where a sentence that is too long for a chunk may be cut; LlamaIndex's own pattern lacks the Chinese comma.
_CLAUSE = "[^,.;，。；、：？！?!\n]+[,.;，。；、：？！?!\n]?|[,.;，。；、：？！?!\n]"
_VISIBLE = re.compile(r"\S")
_WORD = re.compile(r"\S+\s*")

Span = tuple[int, int]
Split = Callable[[str], list[str]]


class ChunkerKind(StrEnum):
    """How a text is cut: by whole sentences, by sections and then sentences, or by size alone."""

    SENTENCE = "sentence"
    MARKDOWN = "markdown"
    TOKENS = "tokens"


class Chunker(Protocol):
    """Cuts one text into chunks, the same way each time."""

    @property
    def name(self) -> str:
        """Kind and sizes, so that chunks made with other settings can be told apart."""

    def chunk(self, text: ParsedText, *, document_id: str, chunks_max: int) -> tuple[Chunk, ...]:
        """The chunks of `text`, in order; empty where it holds nothing visible.

        Raises ParseError(too_many_chunks) where there would be more than `chunks_max`.
        """


class LlamaIndexChunker:
    """A chunker over one LlamaIndex splitter; `units` are what overlap is made of (sentences or words)."""

    def __init__(
        self, name: str, split: Split, units: Split, *, size_tokens: int, overlap_tokens: int, by_section: bool
    ) -> None:
        self.name = name
        self._split = split
        self._units = units
        self._size_tokens = size_tokens
        self._overlap_tokens = overlap_tokens
        self._by_section = by_section

    def chunk(self, text: ParsedText, *, document_id: str, chunks_max: int) -> tuple[Chunk, ...]:
        if count_tokens(text.text) > chunks_max * self._size_tokens:
            raise _too_many(chunks_max)
        spans: list[Span] = []
        for section in self._sections(text):
            spans.extend(self._spans(text.text, section))
            if len(spans) > chunks_max:
                raise _too_many(chunks_max)
        ids = chunk_ids(document_id, (text.text[start:end] for start, end in spans))
        return tuple(
            _chunk(text, chunk_id, ordinal, span)
            for ordinal, (chunk_id, span) in enumerate(zip(ids, spans, strict=True))
        )

    def _sections(self, text: ParsedText) -> Iterator[Span]:
        """Spans that together are the whole text; no chunk crosses from one into the next."""
        cuts = {0, len(text.text)}
        if self._by_section:
            cuts.update(heading.start for heading in text.headings if 0 <= heading.start < len(text.text))
        start, tokens = 0, 0
        for begin, end in pairwise(sorted(cuts)):
            section_tokens = count_tokens(text.text[begin:end])
            is_too_small_alone = tokens < self._size_tokens // SECTION_FRACTION_MIN
            if tokens and not (is_too_small_alone and tokens + section_tokens <= self._size_tokens):
                yield start, begin
                start, tokens = begin, 0
            tokens += section_tokens
        if start < len(text.text):
            yield start, len(text.text)

    def _spans(self, text: str, section: Span) -> Iterator[Span]:
        """The chunks of one section: pieces in their places, each reaching back over its overlap."""
        before = section[0]
        for start, end in _places(text, section, self._split(text[section[0] : section[1]])):
            yield start - self._overlap_chars(text[before:start]), end
            before = start

    def _overlap_chars(self, previous: str) -> int:
        """How many characters at the end of the piece before are taken along: whole units, never half of one."""
        tokens = chars = 0
        for unit in reversed(self._units(previous)):
            tokens += count_tokens(unit)
            if tokens > self._overlap_tokens:
                break
            chars += len(unit)
        return len(previous[-chars:].lstrip()) if chars else 0


def make_chunker(
    kind: ChunkerKind,
    *,
    size_tokens: int = SIZE_TOKENS_DEFAULT,
    overlap_tokens: int = OVERLAP_TOKENS_DEFAULT,
) -> Chunker:
    """A chunker of the kind; a chunk never holds more than `size_tokens` (16 to 8,192), overlap included.

    Raises ValueError where a size is out of range or the overlap is more than half a chunk.
    """
    if not SIZE_TOKENS_MIN <= size_tokens <= SIZE_TOKENS_MAX:
        raise ValueError(f"size_tokens must be {SIZE_TOKENS_MIN} to {SIZE_TOKENS_MAX}, not {size_tokens}")
    if not 0 <= overlap_tokens <= size_tokens // 2:
        raise ValueError(f"overlap_tokens must be 0 to half of size_tokens, not {overlap_tokens}")
    piece_tokens = size_tokens - overlap_tokens
    split: Split
    units: Split
    match kind:
        case ChunkerKind.SENTENCE | ChunkerKind.MARKDOWN:
            split, units = _sentence_split(piece_tokens), split_sentences
        case ChunkerKind.TOKENS:
            split, units = _token_split(piece_tokens), _words
        case _:
            assert_never(kind)
    return LlamaIndexChunker(
        f"{kind}-{size_tokens}-{overlap_tokens}",
        split,
        units,
        size_tokens=size_tokens,
        overlap_tokens=overlap_tokens,
        by_section=kind is ChunkerKind.MARKDOWN,
    )


def _sentence_split(piece_tokens: int) -> Split:
    from llama_index.core.node_parser import SentenceSplitter

    splitter = SentenceSplitter(
        chunk_size=piece_tokens,
        chunk_overlap=0,
        tokenizer=_tokens_of,
        paragraph_separator="\n\n",
        chunking_tokenizer_fn=split_sentences,
        secondary_chunking_regex=_CLAUSE,
    )
    return splitter.split_text


def _token_split(piece_tokens: int) -> Split:
    from llama_index.core.node_parser import TokenTextSplitter

    splitter = TokenTextSplitter(
        chunk_size=piece_tokens, chunk_overlap=0, tokenizer=_tokens_of, separator=" ", backup_separators=["\n"]
    )
    return splitter.split_text


def _words(text: str) -> list[str]:
    return _WORD.findall(text)


def _tokens_of(text: str) -> range:
    """LlamaIndex only ever asks for the length of what its tokenizer returns; no list is built."""
    return range(count_tokens(text))


def _places(text: str, section: Span, pieces: list[str]) -> Iterator[Span]:
    """Where each piece stands: pieces are disjoint, in order, and only white space was dropped between them."""
    position = section[0]
    for piece in pieces:
        visible = _VISIBLE.search(text, position, section[1])
        if visible is None or not text.startswith(piece, visible.start()):
            raise ParseError(ParseErrorCode.PARSE_FAILED, f"the splitter changed the text after character {position}")
        position = visible.start() + len(piece)
        yield visible.start(), position


def _chunk(text: ParsedText, chunk_id: str, ordinal: int, span: Span) -> Chunk:
    start, end = span
    words = text.text[start:end]
    return Chunk(
        chunk_id=chunk_id,
        ordinal=ordinal,
        text=words,
        start=start,
        end=end,
        page=text.page_of(start),
        headings=text.heading_path(start),
        tokens=count_tokens(words),
    )


def _too_many(chunks_max: int) -> ParseError:
    return ParseError(ParseErrorCode.TOO_MANY_CHUNKS, f"the document makes more than {chunks_max:,} chunks")
