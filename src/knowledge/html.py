"""Bytes of an HTML page -> the same page in UTF-8 that also says so, no deeper than the parser follows."""

import re
from typing import Final

from knowledge.decode import DECLARATION_BYTES_MAX, decode
from knowledge.limits import ParseLimits

_CHARSET: Final = re.compile(r"""(<meta[^>]{0,500}?charset\s*=\s*["']?\s*)[\w.:-]+""", re.IGNORECASE)
_ENCODING: Final = re.compile(r"""(<\?xml[^>]{0,200}?encoding\s*=\s*["'])[\w.:-]+""", re.IGNORECASE)

# Elements that mean nothing to a text: pages of old builders stack a hundred of them.
_WRAPPER: Final = re.compile(
    r"<(/?)(?:div|span|font|section|article|main|center|b|i|u|em|strong|small|big|form|fieldset)(?=[\s/>])[^<>]*>",
    re.IGNORECASE,
)
# The parser leaves out what stands deeper than some 64 elements, without a word.
WRAPPERS_MAX: Final = 24
_UNSEEN: Final = re.compile(
    r"<(script|style|head|template)\b.*?(?:</\1\s*>|\Z)|<!--.*?(?:-->|\Z)", re.IGNORECASE | re.DOTALL
)
_TAG: Final = re.compile(r"<[/!?a-zA-Z][^<>]*>?")


def as_utf8(data: bytes, limits: ParseLimits) -> tuple[bytes, tuple[str, ...]]:
    """The page in UTF-8 and warnings of the decoding.

    The parser decodes as UTF-8 whatever a page declares: a GBK page would come out as replacement characters.
    Raises ParseError(resource_limit) for more than `limits.text_bytes_max` bytes.
    """
    decoded = decode(data, text_bytes_max=limits.text_bytes_max)
    start, rest = decoded.text[:DECLARATION_BYTES_MAX], decoded.text[DECLARATION_BYTES_MAX:]
    start = _ENCODING.sub(r"\1utf-8", _CHARSET.sub(r"\1utf-8", start))
    return flattened(start + rest).encode("utf-8", errors="replace"), decoded.warnings


def flattened(page: str) -> str:
    """`page` without those wrappers of others (`div`, `span`) that lie deeper than `WRAPPERS_MAX`; most have none."""
    kept: list[bool] = []

    def keep(tag: re.Match[str]) -> str:
        if not tag[1]:
            kept.append(len(kept) < WRAPPERS_MAX)
            return tag[0] if kept[-1] else " "
        return tag[0] if not kept or kept.pop() else " "

    return _WRAPPER.sub(keep, page)


def shows_text(page: bytes) -> bool:
    """Whether anything is left of a page in UTF-8 without its tags, scripts and comments."""
    return bool(_TAG.sub("", _UNSEEN.sub("", page.decode("utf-8", "replace"))).strip())
