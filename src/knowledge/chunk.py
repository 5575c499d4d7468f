"""One passage of a document: its words, its place, and an id that survives reprocessing."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

import msgspec

from knowledge.errors import KnowledgeError

# What a model's vocabulary does to text, near enough to size a chunk without loading one: a CJK character is a token,
# a word costs one token per 8 characters begun, a punctuation mark one. Of what cl100k_base
# counts: English 108 %, Chinese 76 %.
# Never smaller for a whole than the sum of its parts suggests: tokens(a + b) <= tokens(a) + tokens(b).
_CJK = (
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
)
TOKEN = re.compile(rf"[{_CJK}]|[^\W{_CJK}]{{1,8}}|[^\w\s]")

# The same for a text of ASCII alone, in 0.57 of the time: no other blanks, letters and punctuation can be there.
_ASCII_TOKEN = re.compile(r"[A-Za-z0-9_]{1,8}|[^A-Za-z0-9_\t-\r\x1c- ]")

# Who cuts a text asks for it and its parts again and again: of 3 kB 17 are counted, 8 of them for the first time.
_COUNTED_CHARS_MAX = 16_384
_COUNTED_TEXTS_MAX = 64

CHUNK_ID_CHARS = 32


class Chunk(msgspec.Struct, frozen=True):
    """A passage: `text` is exactly `[start:end]` of the document's text; `page` is the one it starts on.

    `headings` is the path of headings above its start, outermost first; `ordinal` counts from 0;
    `tokens` is `count_tokens(text)`. `lead` are words that belong to it and stand elsewhere (the header of the table
    whose rows it holds); they are indexed with it. `context` is the larger passage that is answered in its place (its
    parent, the sentences around it, its rows under their header); empty where that is the text itself.
    """

    chunk_id: str
    ordinal: int
    text: str
    start: int
    end: int
    page: int | None
    headings: tuple[str, ...]
    tokens: int
    lead: str = ""
    context: str = ""


_decoder = msgspec.msgpack.Decoder(tuple[Chunk, ...])


def count_tokens(text: str) -> int:
    """An estimate of how many tokens a language model makes of `text`; see `TOKEN` for the rule."""
    return _counted_before(text) if len(text) <= _COUNTED_CHARS_MAX else _counted(text)


def _counted(text: str) -> int:
    return len((_ASCII_TOKEN if text.isascii() else TOKEN).findall(text))


_counted_before = lru_cache(_COUNTED_TEXTS_MAX)(_counted)


def chunk_ids(document_id: str, texts: Iterable[str]) -> list[str]:
    """One id of 32 hex digits for each text, in order: SHA-256 of document, text and occurrence of that text.

    An id depends on no neighbour, so a text that is unchanged keeps its id (and its vector) when the document
    is processed again; only repetitions of the very same text are told apart, by counting.
    """
    seen: dict[str, int] = {}
    ids = []
    for text in texts:
        occurrence = seen.get(text, 0)
        seen[text] = occurrence + 1
        digest = hashlib.sha256(f"{document_id}\0{occurrence}\0{text}".encode("utf-8", "surrogatepass"))
        ids.append(digest.hexdigest()[:CHUNK_ID_CHARS])
    return ids


def indexed_text(chunk: Chunk) -> str:
    """What is embedded and cut into words: the chunk under those of its headings that it does not contain.

    A passage from the middle of a section is then found by the words of its heading, too.
    """
    above = [heading for heading in chunk.headings if heading not in chunk.text]
    lead = [chunk.lead] if chunk.lead else []
    return "\n".join([*above, *lead, chunk.text])


def encode_chunks(chunks: Sequence[Chunk]) -> bytes:
    """The blob of a document's chunks: MessagePack."""
    return msgspec.msgpack.encode(tuple(chunks))


def decode_chunks(blob: bytes) -> tuple[Chunk, ...]:
    """The chunks that `encode_chunks` wrote; raises KnowledgeError where the blob is something else."""
    try:
        return _decoder.decode(blob)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise KnowledgeError(f"the stored chunks are damaged: {error}") from error
