"""Pure: how much the entities that an XML document declares would unpack to, told without unpacking any."""

import re
from collections.abc import Mapping
from typing import Final

from knowledge.errors import ParseError, ParseErrorCode
from knowledge.limits import ParseLimits

_DECLARATION: Final = re.compile(rb"""<!ENTITY\s+([^\s%"'<>&;]{1,200})\s+(?:"([^"]*)"|'([^']*)')""")
_REFERENCE: Final = re.compile(rb"&([^\s#%\"'<>&;]{1,200});")
_MARK: Final = b"<!ENTITY"


def check_entities(document: bytes, limits: ParseLimits) -> None:
    """Raises ParseError(resource_limit) where the entities of `document` unpack to more than `text_bytes_max`.

    Parsers here unpack none; what is told apart is a document that means harm from one without text.
    """
    if _MARK not in document:
        return
    values = {found[1]: found[2] or found[3] or b"" for found in _DECLARATION.finditer(document)}
    sizes: dict[bytes, int] = {}
    for name in values:
        _measure(name, values, sizes, limits.text_bytes_max)
    body = document[document.rfind(b"]>") :]
    if sum(sizes.get(name, 0) for name in _REFERENCE.findall(body)) > limits.text_bytes_max:
        raise ParseError(
            ParseErrorCode.RESOURCE_LIMIT,
            f"the entities that the document declares unpack to more than {limits.text_bytes_max:,} bytes",
        )


def _measure(name: bytes, values: Mapping[bytes, bytes], sizes: dict[bytes, int], bytes_max: int) -> None:
    """Fills in the size of `name` and of all that it is made of; one that holds itself has no end."""
    pending, opened = [name], set[bytes]()
    while pending:
        current = pending[-1]
        inner = [found for found in _REFERENCE.findall(values[current]) if found in values]
        missing = [found for found in inner if found not in sizes]
        if current in sizes or not missing or current in opened:
            own = len(values[current]) + sum(sizes.get(found, bytes_max + 1) for found in inner)
            sizes.setdefault(current, min(own, bytes_max + 1))
            pending.pop()
        else:
            opened.add(current)
            pending += missing
