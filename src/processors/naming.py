"""Pure: what a document that was fetched is called, by what its place says of it."""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Final

from knowledge.filenames import UNNAMED, clean_filename, extended_filename, host_of_url, last_segment

_PLAIN: Final = re.compile(r';\s*filename\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))', re.IGNORECASE)
_SUFFIXES: Final[Mapping[str, str]] = {
    "application/json": ".json",
    "application/pdf": ".pdf",
    "application/rtf": ".rtf",
    "application/xhtml+xml": ".html",
    "application/xml": ".xml",
    "text/csv": ".csv",
    "text/html": ".html",
    "text/markdown": ".md",
    "text/plain": ".txt",
    "text/tab-separated-values": ".tsv",
    "text/xml": ".xml",
}
"""Kinds of text are told apart by their names alone (knowledge/media_type.py); a URL often ends in none."""

_SUFFIX_CHARS_MAX: Final = 8


def name_of_answer(disposition: str | None, url: str, declared_media_type: str | None) -> str:
    """Content-Disposition (RFC 6266), else the end of the URL's path, else its host; cleaned, and with a suffix where
    the declared type has one and the name has none."""
    suffix = _SUFFIXES.get((declared_media_type or "").partition(";")[0].strip().lower(), "")
    name = clean_filename(_of_disposition(disposition or "") or last_segment(url))
    if name == UNNAMED:
        return clean_filename(host_of_url(url) + suffix)
    return name if _has_suffix(name) else clean_filename(name + suffix)


def _of_disposition(header: str) -> str:
    extended = extended_filename(header)
    if extended is not None:
        return extended
    plain = _PLAIN.search(header)
    if plain is None:
        return ""
    quoted, bare = plain.groups()
    return re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else bare or ""


def _has_suffix(name: str) -> bool:
    """`.0` of a version is none; whatever else is short and of letters may be one."""
    suffix = PurePosixPath(name).suffix[1:]
    return 0 < len(suffix) <= _SUFFIX_CHARS_MAX and suffix.isalnum() and not suffix.isdigit()
