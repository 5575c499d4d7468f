"""What each setting may be, in words, from its type."""

from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from msgspec import Meta

from millstream.settings import Settings

_HINTS = get_type_hints(Settings, include_extras=True)


def range_of(name: str) -> str:
    """`1 to 600`, `at least 1`, `auto, json or console`, `true or false`; empty for a text."""
    return _range(_HINTS[name])


def _range(hint: Any, *metas: Meta) -> str:
    if get_origin(hint) is Annotated:
        inner, *more = get_args(hint)
        return _range(inner, *metas, *(one for one in more if isinstance(one, Meta)))
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(filter(None, (_range(one, *metas) for one in get_args(hint))))
    if get_origin(hint) is Literal:
        *first, last = map(str, get_args(hint))
        return f"{', '.join(first)} or {last}" if first else last
    if hint is bool:
        return "true or false"
    if hint not in (int, float):
        return ""
    low = next((one.ge for one in metas if one.ge is not None), None)
    high = next((one.le for one in metas if one.le is not None), None)
    if low is None or high is None:
        return "" if low is None else f"at least {low:,}"
    return f"{low:,} to {high:,}"
