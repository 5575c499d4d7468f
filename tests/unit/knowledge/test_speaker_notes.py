"""Notes belong to the slide whose relationships name them, not to the one with their number."""

import io
import zipfile

from knowledge.speaker_notes import notes_by_slide

RELATIONS = '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{}</Relationships>'
NAMES = (
    'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"'
    ' xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
    ' xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
)
PRESENTATION = f"<p:presentation {NAMES}><p:sldIdLst>{{}}</p:sldIdLst></p:presentation>"
NOTES = f"<p:notes {NAMES}><a:p><a:r><a:t>Show the </a:t></a:r><a:r><a:t>stone.</a:t></a:r></a:p>{{}}</p:notes>"
SLIDE_NUMBER = '<a:p><a:fld type="slidenum"><a:t>2</a:t></a:fld></a:p>'


def relation(name: str, target: str) -> str:
    return f'<Relationship Id="{name}" Type="t" Target="{target}"/>'


def show(notes: str, *, order: str = "ab") -> bytes:
    """Two slides, shown in `order`; only b has notes, in the file with number 1."""
    slides = {"a": "slides/slide1.xml", "b": "slides/slide2.xml"}
    parts = {
        "ppt/presentation.xml": PRESENTATION.format("".join(f'<p:sldId r:id="{slide}"/>' for slide in order)),
        "ppt/_rels/presentation.xml.rels": RELATIONS.format(
            "".join(relation(slide, target) for slide, target in slides.items())
        ),
        "ppt/slides/slide1.xml": "<a/>",
        "ppt/slides/slide2.xml": "<a/>",
        "ppt/slides/_rels/slide2.xml.rels": RELATIONS.format(relation("n", "../notesSlides/notesSlide1.xml")),
        "ppt/notesSlides/notesSlide1.xml": notes,
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_notes_belong_to_the_slide_that_names_them() -> None:
    assert notes_by_slide(show(NOTES.format(SLIDE_NUMBER))) == {2: "Show the stone."}


def test_slides_are_counted_in_the_order_of_the_show() -> None:
    assert notes_by_slide(show(NOTES.format(""), order="ba")) == {1: "Show the stone."}


def test_entities_are_refused_and_damage_gives_no_notes() -> None:
    bomb = '<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + NOTES.format("<a:p><a:t>&e;</a:t></a:p>")
    assert notes_by_slide(show(bomb)) == {}
    assert notes_by_slide(show("<unclosed")) == {}
    assert notes_by_slide(b"no container") == {}
