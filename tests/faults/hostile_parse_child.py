"""The product's parse child, but for documents whose text names a misdeed: to these the parser does what they say."""

import ctypes
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from knowledge.limits import ParseLimits  # noqa: E402  found on the path that is set above
from knowledge.media_type import MediaType  # noqa: E402
from knowledge.parsers import parse  # noqa: E402
from knowledge.text import ParsedText  # noqa: E402
from processors import parse_child  # noqa: E402
from tests.integration.hostile_parse_child import MISDEEDS  # noqa: E402

PR_SET_NAME = 15
"""<linux/prctl.h>"""

MISDEED = b"misdeed"
"""What a process is called from here on, so that a test sees when it begins and when it is gone."""


def misbehave(data: bytes, media_type: MediaType, filename: str, limits: ParseLimits) -> ParsedText:
    misdeed = MISDEEDS.get(data.decode())
    if misdeed is not None:
        ctypes.CDLL(None).prctl(PR_SET_NAME, MISDEED, 0, 0, 0)
        misdeed()
    return parse(data, media_type, filename, limits)


if __name__ == "__main__":
    parse_child.main(misbehave)
