"""The Lua files of this package, run as those of the log are."""

import hashlib
from pathlib import Path

from events.redis_border import Script


class WebhookScript(Script):
    """A Lua file that lies beside this module."""

    def __init__(self, file: str) -> None:
        self.text = Path(__file__).with_name(file).read_text(encoding="utf-8")
        self.digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()
