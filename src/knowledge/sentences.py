"""Where sentences end, in Latin and in Chinese text, without a model and without loss."""

import re

# A sentence longer than this is cut here (a table without line ends, a base64 block): a splitter that gets one
# piece of 50 MB goes down to single characters and takes minutes.
SENTENCE_CHARS_MAX = 2_000

# Three ways a sentence ends: CJK and doubled marks end it anywhere, a Latin mark only before white space, and a line
# end only where the next line starts something new (blank line, list item, heading, table row): text from PDFs is
# wrapped in the middle of sentences. A run of Latin marks is looked at once, from its beginning and without going back:
# 8 kB of dots without a blank, looked at from each of them, take 3 s, 100 kB a quarter of an hour, in which no other
# thread of the process has its turn.
_END = re.compile(
    r"""
    [。！？｡]+[”’"'）)\]」』》〉]*\s*
  | (?<![.!?…])[.!?…]++["'”’)\]]*+\s+
  | \n[^\S\n]*\n\s*
  | \n(?=[^\S\n]*(?:[|#>]|[-*+•·]\s|\d{1,3}[.)、]|（?[一二三四五六七八九十]{1,3}[、）]))
    """,
    re.VERBOSE,
)
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\[“\"'])(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|St|Sr|Jr|vs|etc|cf|al|Fig|fig|Figs|Eq|No|no|Nos|Vol|vol|pp|p|ca|approx"
    r"|Inc|Ltd|Co|Corp|Dept|Sec|Ch|e\.g|i\.e|a\.m|p\.m|U\.S|U\.K|[A-Z]\.[A-Z])\.$"
)
_ABBREVIATION_CHARS = 12


def split_sentences(text: str) -> list[str]:
    """The sentences of `text`, each with the white space after it; joined they are `text` again.

    No sentence is longer than 2,000 characters.
    """
    sentences: list[str] = []
    start = 0
    for match in _END.finditer(text):
        if _is_sentence_end(text, match):
            _append_bounded(sentences, text, start, match.end())
            start = match.end()
    _append_bounded(sentences, text, start, len(text))
    return sentences


def _is_sentence_end(text: str, match: re.Match[str]) -> bool:
    if match.end() >= len(text):
        return False
    marks = match.group().rstrip()
    if not marks.startswith("."):
        return True
    if text[match.end()].islower():
        return False
    before = text[max(0, match.start() - _ABBREVIATION_CHARS) : match.start() + 1]
    return marks != "." or _ABBREVIATION.search(before) is None


def _append_bounded(sentences: list[str], text: str, start: int, end: int) -> None:
    while end - start > SENTENCE_CHARS_MAX:
        blank = text.rfind(" ", start + SENTENCE_CHARS_MAX // 2, start + SENTENCE_CHARS_MAX)
        cut = blank + 1 if blank >= 0 else start + SENTENCE_CHARS_MAX
        sentences.append(text[start:cut])
        start = cut
    if start < end:
        sentences.append(text[start:end])
