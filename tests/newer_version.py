"""A copy of the program as a later release might be: a fact in its second form, and a fact that is new.

`DocumentParsed` has a required field more (version 2, with its upcaster), and `DocumentAdmired` is appended behind it.
"""

import shutil
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / "src"

Patch = tuple[str, str]

_NEW_FACT = '''class DocumentAdmired(msgspec.Struct, frozen=True, array_like=True):
    """Somebody liked it."""

    by: str


class DocumentChunked('''

_UPCASTERS = "for name, current in CURRENT_VERSIONS.items() for version in range(1, current)\n}"
_UPCASTER = f'{_UPCASTERS} | {{("DocumentParsed", 1): lambda facts: {{**facts, "reader": "unknown"}}}}'

_EARLIER = """EARLIER_FIELDS: Final[Mapping[tuple[str, int], tuple[str, ...]]] = {
    ("DocumentParsed", 1): ("text_blob", "parser", "pages", "characters", "language", "title", "warnings")
}"""

_APPENDED = 'return (_parsed(command), facts.DocumentAdmired(by="the newer one"))\n'

_EVOLVED = """    facts.DocumentAdmired: lambda state, _event, _at_us: state if isinstance(state, Parsed) else None,
    facts.DocumentChunked: _chunked,
"""

_PATCHES: dict[str, tuple[Patch, ...]] = {
    "events/document.py": (
        ("    text_blob: str\n    parser: str\n", "    text_blob: str\n    reader: str\n    parser: str\n"),
        ("class DocumentChunked(", _NEW_FACT),
        ("    | DocumentParsed\n", "    | DocumentParsed\n    | DocumentAdmired\n"),
    ),
    "events/upcasters.py": (
        ("Final[Mapping[str, int]] = {\n", 'Final[Mapping[str, int]] = {\n    "DocumentParsed": 2,\n'),
        (_UPCASTERS, _UPCASTER),
        ("EARLIER_FIELDS: Final[Mapping[tuple[str, int], tuple[str, ...]]] = {}", _EARLIER),
    ),
    "events/type_codes.py": (
        ('    "KnowledgeBaseDeleted": 29,\n', '    "KnowledgeBaseDeleted": 29,\n    "DocumentAdmired": 30,\n'),
    ),
    "events/routing.py": (("case d.StepStarted() |", "case d.DocumentAdmired() | d.StepStarted() |"),),
    "domain/document_decide.py": (
        ("facts.DocumentParsed(\n", 'facts.DocumentParsed(\n        reader="new",\n'),
        ("return (_parsed(command),)\n", _APPENDED),
    ),
    "domain/document_evolve.py": (("    facts.DocumentChunked: _chunked,\n", _EVOLVED),),
}


def newer_source(folder: Path) -> Path:
    """Where the copy lies: what PYTHONPATH has to name."""
    target = folder / "newer"
    shutil.copytree(SOURCE, target, ignore=shutil.ignore_patterns("__pycache__"))
    for name, patches in _PATCHES.items():
        path = target / name
        text = path.read_text(encoding="utf-8")
        for old, new in patches:
            assert text.count(old) >= 1, f"{name} has changed: {old!r} is not there any more"
            text = text.replace(old, new, 1)
        path.write_text(text, encoding="utf-8")
    return target
