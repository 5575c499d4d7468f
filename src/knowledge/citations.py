"""The words of a language model on their way to a reader: citations checked, thoughts and "not found" taken out. Pure.

Pieces may be cut anywhere: what comes out does not depend on where.
"""

import re
from collections.abc import Collection
from typing import Final

from knowledge.prompt import NOT_FOUND

# [1], [1, 3], 【1】, [^1]: what models make of "the number in brackets"; blanks in front go with what is removed.
_CITATION: Final = re.compile(
    r"(?P<blank>[ \t]*)[\[【]\s*\^?(?P<numbers>\d{1,9}(?:\s*[,，、;]\s*\^?\d{1,9})*)\s*[\]】]"
)
_BEGUN: Final = re.compile(r"[ \t]*(?:[\[【][\s\d,，、;^]{0,60})?$")
_OPEN: Final = re.compile(r"[\[【][\s\d,，、;^]*$")
_TAIL_CHARS: Final = 100
_THOUGHT: Final = "<think>"
_THOUGHT_END: Final = "</think>"


class AnswerText:
    """`cited` are the numbers that occurred, in their order; `is_not_found` where the model said so."""

    def __init__(self, numbers: Collection[int]) -> None:
        self._numbers = frozenset(numbers)
        self._held = ""
        self._tail = ""
        self._has_begun = False
        self.cited: list[int] = []
        self.is_not_found = False

    def feed(self, words: str) -> str:
        """What may be shown now; the rest is held back until more is known."""
        self._held += words
        return self._shown(is_end=False)

    def end(self) -> str:
        """What was held back."""
        return self._shown(is_end=True)

    def _shown(self, *, is_end: bool) -> str:
        if not self._has_begun and not self._begins(is_end=is_end):
            return ""
        if self.is_not_found:
            self._held = ""
            return ""
        return self._checked(is_end=is_end)

    def _begins(self, *, is_end: bool) -> bool:
        """Whether it is known what the text begins with."""
        held = self._held.lstrip()
        if held.startswith(_THOUGHT):
            _, ended, rest = held.partition(_THOUGHT_END)
            held = rest.lstrip() if ended else ""
            if not ended or not held:
                self._held = "" if is_end else self._held
                return is_end
        elif not is_end and (_THOUGHT.startswith(held) or not held):
            return False
        if not is_end and NOT_FOUND.startswith(held):
            return False
        self._held, self._has_begun = held, True
        self.is_not_found = held.startswith(NOT_FOUND)
        return True

    def _checked(self, *, is_end: bool) -> str:
        shown, place = "", 0
        for match in _CITATION.finditer(self._held):
            shown += self._held[place : match.start()]
            shown += self._resolved(match) or self._gap(shown)
            place = match.end()
        rest = self._held[place:]
        keep = 0 if is_end else self._undecided(rest)
        self._held = rest[len(rest) - keep :]
        shown += rest[: len(rest) - keep]
        self._tail = (self._tail + shown)[-_TAIL_CHARS:]
        return shown

    def _resolved(self, match: re.Match[str]) -> str:
        numbers = [int(number) for number in re.findall(r"\d+", match["numbers"])]
        known = [number for number in dict.fromkeys(numbers) if number in self._numbers]
        self.cited += [number for number in known if number not in self.cited]
        return match["blank"] + "".join(f"[{number}]" for number in known) if known else ""

    def _gap(self, shown: str) -> str:
        """Where what stood around a removed citation would become one: [[9]1]."""
        return "…" if _OPEN.search((self._tail + shown)[-_TAIL_CHARS:]) else ""

    @staticmethod
    def _undecided(rest: str) -> int:
        """How many characters at the end may yet become a citation."""
        begun = _BEGUN.search(rest)
        return len(rest) - begun.start() if begun else 0
