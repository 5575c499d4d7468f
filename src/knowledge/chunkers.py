"""ParsedText to chunks: which parts no chunk crosses, how a part is cut, and what is answered in place of a chunk.

Sentences are packed by LlamaIndex's splitter, which is imported when the first chunker that needs it is made (0.3 s):
only who chunks pays for it. Its splitters are asked for disjoint pieces; overlap and places are computed here, because
the place that LlamaIndex reports is the first text that looks alike, which in repetitive text is another one.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from itertools import pairwise
from typing import Protocol, assert_never

import msgspec

from knowledge import sections
from knowledge.chunk import Chunk, chunk_ids, count_tokens
from knowledge.cuts import Span, bounded, cut_long, words
from knowledge.errors import ParseError, ParseErrorCode
from knowledge.sentences import split_sentences
from knowledge.text import ParsedText

SIZE_TOKENS_DEFAULT = 256
SIZE_TOKENS_MIN = 16
SIZE_TOKENS_MAX = 8_192
OVERLAP_TOKENS_DEFAULT = 32
PARENT_TOKENS_DEFAULT = 1_024
WINDOW_SENTENCES_DEFAULT = 3
BREAKPOINT_PERCENTILE_DEFAULT = 90

_VISIBLE = re.compile(r"\S")

Split = Callable[[str], list[str]]
Sections = Callable[[ParsedText], Iterator[Span]]
Contexts = Callable[[ParsedText, Sequence[Span], Sequence[Span]], list[Span | None]]
"""Of each chunk, from the spans of chunks and of the part that each was cut from."""


class ChunkerKind(StrEnum):
    """How a text is cut.

    `sentence`: whole sentences. `markdown`: sections under their headings, then sentences. `tokens`: by size alone.
    `window`: each sentence, answered with those around it. `parents`: small chunks, answered with the larger one that
    they were cut from. `semantic`: where the meaning turns, then sentences. `rows`: each row of a table under its
    header, the rest as `markdown`. `page`: a page, cut further only where it is too long.
    """

    SENTENCE = "sentence"
    MARKDOWN = "markdown"
    TOKENS = "tokens"
    WINDOW = "window"
    PARENTS = "parents"
    SEMANTIC = "semantic"
    ROWS = "rows"
    PAGE = "page"


class ChunkerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes in tokens as `count_tokens` estimates them; the last three are each for one kind.

    `parent_tokens` of `parents`; `window_sentences` on either side, of `window`; `breakpoint_percentile` of `semantic`:
    the text is cut at the turns of meaning that are sharper than so many percent of all.
    """

    size_tokens: int = SIZE_TOKENS_DEFAULT
    overlap_tokens: int = OVERLAP_TOKENS_DEFAULT
    parent_tokens: int = PARENT_TOKENS_DEFAULT
    window_sentences: int = WINDOW_SENTENCES_DEFAULT
    breakpoint_percentile: int = BREAKPOINT_PERCENTILE_DEFAULT


class Chunker(Protocol):
    """Cuts one text into chunks, the same way each time."""

    @property
    def name(self) -> str:
        """Kind and sizes, so that chunks made with other settings can be told apart."""

    def chunk(
        self, text: ParsedText, *, document_id: str, chunks_max: int, turns: Sequence[int] = ()
    ) -> tuple[Chunk, ...]:
        """The chunks of `text`, in order; empty where it holds nothing visible.

        `turns` are the places where its meaning turns, for the kind that asks (see semantic.py). Raises
        ParseError(too_many_chunks) where there would be more than `chunks_max`.
        """


class PartsChunker:
    """Cuts parts into pieces; `units` are what overlap is made of (sentences or words)."""

    def __init__(
        self,
        name: str,
        parts: Sections,
        split: Split,
        units: Split | None,
        contexts: Contexts | None,
        options: ChunkerOptions,
    ) -> None:
        self.name = name
        self._parts = parts
        self._split = split
        self._units = units
        self._contexts = contexts
        self._options = options

    def chunk(
        self, text: ParsedText, *, document_id: str, chunks_max: int, turns: Sequence[int] = ()
    ) -> tuple[Chunk, ...]:
        if count_tokens(text.text) > chunks_max * self._options.size_tokens:
            raise _too_many(chunks_max)
        spans: list[Span] = []
        parts: list[Span] = []
        for part in _also_cut(self._parts(text), turns):
            spans.extend(self._spans(text.text, part))
            parts.extend([part] * (len(spans) - len(parts)))
            if len(spans) > chunks_max:
                raise _too_many(chunks_max)
        contexts = self._contexts(text, spans, parts) if self._contexts else [None] * len(spans)
        ids = chunk_ids(document_id, (text.text[start:end] for start, end in spans))
        return tuple(
            _chunk(text, chunk_id, ordinal, span, context)
            for ordinal, (chunk_id, span, context) in enumerate(zip(ids, spans, contexts, strict=True))
        )

    def _spans(self, text: str, part: Span) -> Iterator[Span]:
        """The chunks of one part: pieces in their places, each reaching back over its overlap."""
        before = part[0]
        for start, end in _places(text, part, self._split(text[part[0] : part[1]])):
            yield start - self._overlap_chars(text[before:start]), end
            before = start

    def _overlap_chars(self, previous: str) -> int:
        """How many characters at the end of the piece before are taken along: whole units, never half of one."""
        if self._units is None or not self._options.overlap_tokens:
            return 0
        tokens = chars = 0
        for unit in reversed(self._units(previous)):
            tokens += count_tokens(unit)
            if tokens > self._options.overlap_tokens:
                break
            chars += len(unit)
        return len(previous[-chars:].lstrip()) if chars else 0


def make_chunker(kind: ChunkerKind, options: ChunkerOptions | None = None) -> Chunker:
    """A chunker of the kind; a chunk never holds more than `size_tokens` (16 to 8,192), overlap included.

    Raises ValueError where a size is out of range, the overlap is more than half a chunk, or a parent smaller than one.
    """
    options = options or ChunkerOptions()
    _check(kind, options)
    size = options.size_tokens
    piece_tokens = size - options.overlap_tokens
    name = f"{kind}-{size}-{options.overlap_tokens}"
    match kind:
        case ChunkerKind.SENTENCE:
            return _by_sentence(name, lambda text: sections.whole(text, size), options)
        case ChunkerKind.MARKDOWN:
            return _by_sentence(name, lambda text: sections.by_heading(text, size), options)
        case ChunkerKind.SEMANTIC:
            turning = f"{name}-{options.breakpoint_percentile}"
            return _by_sentence(turning, lambda text: iter([(0, len(text.text))]), options)
        case ChunkerKind.ROWS:
            return _by_sentence(name, lambda text: sections.by_row(text, size), options)
        case ChunkerKind.PAGE:
            return _by_sentence(name, lambda text: sections.by_page(text, size), options, whole_tokens_max=size)
        case ChunkerKind.TOKENS:
            return PartsChunker(
                name,
                lambda text: sections.whole(text, size),
                lambda text: cut_long(text, piece_tokens),
                words,
                None,
                options,
            )
        case ChunkerKind.WINDOW:
            return PartsChunker(
                f"{name}-{options.window_sentences}",
                lambda text: sections.by_heading(text, size),
                lambda text: bounded(split_sentences(text), size),
                None,
                lambda _, spans, parts: _windows(spans, parts, options.window_sentences),
                options,
            )
        case ChunkerKind.PARENTS:
            return _by_sentence(
                f"{name}-{options.parent_tokens}", _parents(options), options, contexts=lambda _, __, parts: [*parts]
            )
        case _:
            assert_never(kind)


def _check(kind: ChunkerKind, options: ChunkerOptions) -> None:
    size, overlap = options.size_tokens, options.overlap_tokens
    if not SIZE_TOKENS_MIN <= size <= SIZE_TOKENS_MAX:
        raise ValueError(f"size_tokens must be {SIZE_TOKENS_MIN} to {SIZE_TOKENS_MAX}, not {size}")
    if not 0 <= overlap <= size // 2:
        raise ValueError(f"overlap_tokens must be 0 to half of size_tokens, not {overlap}")
    if kind is ChunkerKind.PARENTS and not size <= options.parent_tokens <= SIZE_TOKENS_MAX:
        raise ValueError(f"parent_tokens must be size_tokens to {SIZE_TOKENS_MAX}, not {options.parent_tokens}")


def _by_sentence(
    name: str,
    parts: Sections,
    options: ChunkerOptions,
    *,
    whole_tokens_max: int = 0,
    contexts: Contexts | None = None,
) -> PartsChunker:
    """Parts of up to `whole_tokens_max` stay whole; pieces of the others leave room for what overlaps."""
    split = _sentence_split(options.size_tokens - options.overlap_tokens, whole_tokens_max)
    return PartsChunker(name, parts, split, split_sentences, contexts, options)


def _sentence_split(piece_tokens: int, whole_tokens_max: int = 0) -> Split:
    from knowledge.llama_splitter import NOBODY_LISTENS, SentenceSplitter

    splitter = SentenceSplitter(
        chunk_size=piece_tokens,
        chunk_overlap=0,
        tokenizer=_tokens_of,
        paragraph_separator="\n\n",
        # Bounded, because what is still too long LlamaIndex takes apart character by character: 20 s for 2 MB.
        chunking_tokenizer_fn=lambda text: bounded(split_sentences(text), piece_tokens),
        callback_manager=NOBODY_LISTENS,
    )
    return lambda part: [part] if count_tokens(part) <= whole_tokens_max else splitter.split_text(part)


def _parents(options: ChunkerOptions) -> Sections:
    split = _sentence_split(options.parent_tokens)

    def parents(text: ParsedText) -> Iterator[Span]:
        for part in sections.by_heading(text, options.parent_tokens):
            yield from _places(text.text, part, split(text.text[part[0] : part[1]]))

    return parents


def _windows(spans: Sequence[Span], parts: Sequence[Span], sentences: int) -> list[Span | None]:
    """Each chunk with its neighbours of the same part."""
    windows: list[Span | None] = []
    for index, part in enumerate(parts):
        around = range(max(0, index - sentences), min(len(spans), index + sentences + 1))
        near = [spans[place] for place in around if parts[place] == part]
        windows.append((near[0][0], near[-1][1]))
    return windows


def _also_cut(parts: Iterator[Span], turns: Sequence[int]) -> Iterator[Span]:
    for start, end in parts:
        yield from pairwise([start, *(turn for turn in turns if start < turn < end), end])


def _tokens_of(text: str) -> range:
    """LlamaIndex only ever asks for the length of what its tokenizer returns; no list is built."""
    return range(count_tokens(text))


def _places(text: str, part: Span, pieces: list[str]) -> Iterator[Span]:
    """Where each piece stands: pieces are disjoint, in order, and only white space was dropped between them."""
    position = part[0]
    for piece in pieces:
        stripped = piece.strip()
        if not stripped:
            continue
        visible = _VISIBLE.search(text, position, part[1])
        if visible is None or not text.startswith(stripped, visible.start()):
            raise ParseError(ParseErrorCode.PARSE_FAILED, f"the splitter changed the text after character {position}")
        position = visible.start() + len(stripped)
        yield visible.start(), position


def _chunk(text: ParsedText, chunk_id: str, ordinal: int, span: Span, context: Span | None) -> Chunk:
    start, end = span
    passage = text.text[start:end]
    lead = sections.lead_of(text, start)
    around = "" if context is None or context == span else text.text[context[0] : context[1]].strip()
    if lead and context in {None, span}:
        around = f"{lead}\n{sections.ruler(lead)}\n{passage}"
    return Chunk(
        chunk_id=chunk_id,
        ordinal=ordinal,
        text=passage,
        start=start,
        end=end,
        page=text.page_of(start),
        headings=text.heading_path(start),
        tokens=count_tokens(passage),
        lead=lead,
        context=around,
    )


def _too_many(chunks_max: int) -> ParseError:
    return ParseError(ParseErrorCode.TOO_MANY_CHUNKS, f"the document makes more than {chunks_max:,} chunks")
