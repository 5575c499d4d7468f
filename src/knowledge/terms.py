"""Text to index terms, the same for documents, queries and highlights, in English, Chinese and mixed text.

Words are cut here and not by the index engine, so that memory and LanceDB index the same terms, and a highlight marks
exactly what matched. Chinese, Japanese, Korean and Thai runs become overlapping pairs of characters (with single ones
beside them): on cmrc2018 pairs find as much as a dictionary (nDCG@10 .979 and .978) and never miss a new word.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from knowledge.stemmer import stem

TERM_CHARS_MAX = 64
QUERY_TERMS_MAX = 256

RUN_CHARS_KEPT_MAX = 64
"""Runs whose terms are kept at hand. Longer ones (addresses, encoded bytes) hardly come again, and 65,536 of some
thousand characters would take gigabytes."""

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
# Marks that stand inside words but are no letters to `\w`: combining accents, Arabic, Hebrew and Indic vowel signs.
_MARKS = "\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u0900-\u0dff"
_WORD_CHARS = rf"(?:[^\W_{_UNSPACED}]|[{_MARKS}])+"
# A run of unspaced script, or words joined by marks without blanks: MS-204/B, v1.2.3, don't, a.b@c.d
_JOINED_WORDS = rf"{_WORD_CHARS}(?:[-_./:@+&'’]{_WORD_CHARS})*"
_RUN = re.compile(rf"(?P<unspaced>[{_UNSPACED}]+)|{_JOINED_WORDS}")
# The same without a group: `findall` makes their texts at once, half as fast again as a match for each.
_RUNS = re.compile(rf"[{_UNSPACED}]+|{_JOINED_WORDS}")
_FIRST_UNSPACED = "\u0e00"
_IS_UNSPACED = re.compile(rf"[{_UNSPACED}]")
_PART = re.compile(_WORD_CHARS)
_ACCENTS = re.compile("[\u0300-\u036f]")

# Words that stand in most English text (the closed classes). Neither indexed nor searched for: "what is the ..." should
# not score every document, and lengths are fairer without them (cranfield nDCG@10 .369 against .366).
_STOP_WORDS_TEXT = """
    a about above after again all also am an and any are as at be because been before being below between both but by
    can could did do does doing down during each few for from further had has have having he her here hers him his how i
    if in into is it its itself just me more most my no nor not now of off on once only or other our out over own same
    she should so some such than that the their them then there these they this those through to too under until up
    very was we were what when where which while who whom why will with would you your
"""
_STOP_WORDS = frozenset(_STOP_WORDS_TEXT.split())


class Term(NamedTuple):
    """One index term and the span of characters it was cut from."""

    term: str
    start: int
    end: int


def cut(text: str) -> Iterator[Term]:
    """Every index term of `text` with its place; spans overlap where terms do.

    Words are compatibility-normalised, lower-cased, freed from accents and stemmed (Porter) where they are English
    letters; a joined word with a digit in it (a part number, a version) is a term as a whole besides its parts.
    Left out: stop words, and a lower-case letter alone (a variable; an upper-case one is a name, as in vitamin C).
    """
    for run in _RUN.finditer(text):
        offset = run.start()
        if run.lastgroup:
            yield from _pairs(run.group(), offset)
        else:
            for term, start, end in _words(run.group()):
                yield Term(term, offset + start, offset + end)


def places_of(wanted: frozenset[str], text: str) -> Iterator[tuple[int, int]]:
    """Where terms of `wanted` stand in `text`: the spans of those of `cut`, in no order.

    Without the terms that nobody asks for: a quarter of the time on Chinese text.
    """
    for run in _RUN.finditer(text):
        offset = run.start()
        if run.lastgroup:
            previous = ""
            for place, character in enumerate(_characters(run.group()), start=offset):
                if character in wanted:
                    yield place, place + 1
                if previous and previous + character in wanted:
                    yield place - 1, place + 1
                previous = character
        else:
            for term, start, end in _words(run.group()):
                if term in wanted:
                    yield offset + start, offset + end


def index_terms(text: str) -> str:
    """What the keyword index stores for `text`: its terms with blanks between them, those of `cut` in its order.

    Without their places, which nobody asks for here: a quarter of the time on Chinese text.
    """
    terms: list[str] = []
    for run in _RUNS.findall(text):
        if run[0] < _FIRST_UNSPACED or not _IS_UNSPACED.match(run):
            terms += _stored_words(run) if len(run) <= RUN_CHARS_KEPT_MAX else [term for term, _, _ in _cut_words(run)]
        else:
            characters = _characters(run)
            terms.append(characters[0])
            for previous, character in pairwise(characters):
                terms += (previous + character, character)
    return " ".join(terms)


@lru_cache(maxsize=65_536)
def _stored_words(run: str) -> tuple[str, ...]:
    return tuple(term for term, _, _ in _words(run))


def query_terms(text: str) -> list[str]:
    """The terms to search for, each once, in order; of a run of Chinese only the pairs, which say more.

    At most 256: a query may have 2,000 characters. Empty where the query holds stop words only.
    """
    # A letter alone is searched for in either case: who types "vitamin c" means vitamin C.
    terms = [term for run in _RUN.finditer(text) for term in _of_query(run.group(), bool(run.lastgroup))]
    return list(dict.fromkeys(terms))[:QUERY_TERMS_MAX]


def _of_query(run: str, is_unspaced: bool) -> list[str]:
    if not is_unspaced:
        # ß has no capital of one letter: it would become a word of its own.
        is_letter = len(run) == len(run.upper()) == 1
        return [term for term, _, _ in _words(run.upper() if is_letter else run)]
    pairs = [term.term for term in _pairs(run, 0) if term.end - term.start == 2]
    return pairs or [term.term for term in _pairs(run, 0)]


def _pairs(run: str, offset: int) -> Iterator[Term]:
    previous = ""
    for place, character in enumerate(_characters(run), start=offset):
        if previous:
            yield Term(previous + character, place - 1, place + 1)
        yield Term(character, place, place + 1)
        previous = character


def _characters(run: str) -> Sequence[str]:
    is_plain = unicodedata.is_normalized("NFKD", run)
    return run if is_plain else [_normalised(character) for character in run]


def _words(run: str) -> tuple[tuple[str, int, int], ...]:
    """Terms of words without blanks between them, with places in the run."""
    return _kept_words(run) if len(run) <= RUN_CHARS_KEPT_MAX else _cut_words(run)


@lru_cache(maxsize=65_536)
def _kept_words(run: str) -> tuple[tuple[str, int, int], ...]:
    """Kept, because texts repeat their words."""
    return _cut_words(run)


def _cut_words(run: str) -> tuple[tuple[str, int, int], ...]:
    parts = list(_PART.finditer(run))
    terms = []
    for part in parts:
        word = _normalised(part.group())
        is_variable = len(word) == 1 and word.isascii() and part.group().islower()
        if word not in _STOP_WORDS and not is_variable:
            terms.append((_stemmed(word), part.start(), part.end()))
    if len(parts) > 1 and any(character.isdigit() for character in run):
        terms.append((_normalised(run), 0, len(run)))
    return tuple(terms)


def _stemmed(word: str) -> str:
    return stem(word) if word.isascii() and word.isalpha() else word


def _normalised(word: str) -> str:
    if word.isascii():
        return word.lower()[:TERM_CHARS_MAX]
    folded = _ACCENTS.sub("", unicodedata.normalize("NFKD", word))
    # Compatibility forms may hold blanks (a spacing accent); a term must not, or the index would cut it in two.
    return "".join(unicodedata.normalize("NFC", folded).lower().split())[:TERM_CHARS_MAX] or word[:TERM_CHARS_MAX]
