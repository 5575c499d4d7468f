"""Which speaker notes belong to which slide of a PPTX.

The parser numbers notes by their file (notesSlide1.xml is given to slide 1); only the relationship files tell the
slide: a deck whose first slide has no notes would show each note one slide too early.
"""

import io
import posixpath
import zipfile
from collections.abc import Callable
from typing import Final
from xml.parsers import expat

from knowledge.limits import MEBIBYTE

_PRESENTATION: Final = "ppt/presentation.xml"
_PART_BYTES_MAX: Final = 8 * MEBIBYTE
_RELATION: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_DRAWING: Final = "http://schemas.openxmlformats.org/drawingml/2006/main"
_SLIDES: Final = "http://schemas.openxmlformats.org/presentationml/2006/main"
_PACKAGE: Final = "http://schemas.openxmlformats.org/package/2006/relationships"
# Fields hold what PowerPoint fills in itself, on a notes page the slide's number.
_FIELD: Final = f"{_DRAWING} fld"


def notes_by_slide(data: bytes) -> dict[int, str]:
    """Slide number (from 1, in the order of the show) -> its notes; empty where the file is not readable."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            targets = _relations(archive, _PRESENTATION)
            found = {}
            for number, relation in enumerate(_slide_relations(archive), 1):
                if text := _notes(archive, targets.get(relation, "")):
                    found[number] = text
            return found
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError, expat.ExpatError):
        return {}  # the parser that reads the slides themselves says what is wrong with the file


def _notes(archive: zipfile.ZipFile, slide: str) -> str:
    for target in _relations(archive, slide).values():
        if "/notesSlides/" in f"/{target}":
            return _NotesText().read(_part(archive, target))
    return ""


def _relations(archive: zipfile.ZipFile, part: str) -> dict[str, str]:
    folder, name = posixpath.split(part)
    try:
        content = _part(archive, f"{folder}/_rels/{name}.rels")
    except KeyError:
        return {}
    relations: dict[str, str] = {}

    def start(tag: str, attributes: dict[str, str]) -> None:
        if tag == f"{_PACKAGE} Relationship" and attributes.get("TargetMode") != "External":
            target = posixpath.normpath(posixpath.join("/", folder, attributes.get("Target", "")))
            relations[attributes.get("Id", "")] = target.lstrip("/")

    _parse(content, start=start)
    return relations


def _slide_relations(archive: zipfile.ZipFile) -> list[str]:
    found: list[str] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        if tag == f"{_SLIDES} sldId":
            found.append(attributes.get(f"{_RELATION} id", ""))

    _parse(_part(archive, _PRESENTATION), start=start)
    return found


class _NotesText:
    """Collects the paragraphs of one notes page."""

    def __init__(self) -> None:
        self._lines: list[str] = [""]
        self._is_run = False
        self._fields = 0

    def read(self, content: bytes) -> str:
        _parse(content, start=self._start, end=self._end, text=self._text)
        return "\n".join(line.strip() for line in self._lines if line.strip())

    def _start(self, tag: str, _attributes: dict[str, str]) -> None:
        self._is_run = tag == f"{_DRAWING} t"
        self._fields += tag == _FIELD
        if tag == f"{_DRAWING} br":
            self._lines.append("")

    def _end(self, tag: str) -> None:
        self._is_run = False
        self._fields -= tag == _FIELD
        if tag == f"{_DRAWING} p":
            self._lines.append("")

    def _text(self, text: str) -> None:
        if self._is_run and not self._fields:
            self._lines[-1] += text


def _part(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as part:
        return part.read(_PART_BYTES_MAX)


def _parse(
    content: bytes,
    *,
    start: Callable[[str, dict[str, str]], None],
    end: Callable[[str], None] | None = None,
    text: Callable[[str], None] | None = None,
) -> None:
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.EntityDeclHandler = _refuse_entity  # no Office writer declares any; bombs and file readers do
    parser.Parse(content, True)


def _refuse_entity(*_declaration: object) -> None:
    raise ValueError("entity declarations are not read")
