"""The Lua files of this package, run as those of the log are."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from events.redis_border import Script


class ViewScript(Script):
    """A Lua file that lies beside this module, `behind` others whose functions it calls."""

    def __init__(self, file: str, *, behind: Sequence[str] = ()) -> None:
        head, body = _text(file).split("\n", 1)
        self.text = "\n".join([head, *map(_text, behind), body])
        self.digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


def _text(file: str) -> str:
    return Path(__file__).with_name(file).read_text(encoding="utf-8")
