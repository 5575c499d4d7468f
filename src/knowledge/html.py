"""Bytes of an HTML page -> the same page in UTF-8 that also says so."""

import re
from typing import Final

from knowledge.decode import DECLARATION_BYTES_MAX, decode
from knowledge.limits import ParseLimits

_CHARSET: Final = re.compile(r"""(<meta[^>]{0,500}?charset\s*=\s*["']?\s*)[\w.:-]+""", re.IGNORECASE)
_ENCODING: Final = re.compile(r"""(<\?xml[^>]{0,200}?encoding\s*=\s*["'])[\w.:-]+""", re.IGNORECASE)


def as_utf8(data: bytes, limits: ParseLimits) -> tuple[bytes, tuple[str, ...]]:
    """The page in UTF-8 and warnings of the decoding.

    The parser decodes as UTF-8 whatever a page declares: a GBK page would come out as replacement characters.
    Raises ParseError(resource_limit) for more than `limits.text_bytes_max` bytes.
    """
    decoded = decode(data, text_bytes_max=limits.text_bytes_max)
    start, rest = decoded.text[:DECLARATION_BYTES_MAX], decoded.text[DECLARATION_BYTES_MAX:]
    start = _ENCODING.sub(r"\1utf-8", _CHARSET.sub(r"\1utf-8", start))
    return (start + rest).encode("utf-8", errors="replace"), decoded.warnings
