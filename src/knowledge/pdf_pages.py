"""The one file that calls PDFium: the text of pages in logical order, and pages as pictures.

A second opinion where the first parser is wrong (right-to-left scripts come out in the order of their glyphs) or blind
(scans). PDFium hangs on some hostile files: the process around it is limited and killed.
"""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from PIL.Image import Image

DOTS_PER_INCH: Final = 200
"""What tesseract reads well at half the time of 300."""
SIDE_PIXELS_MAX: Final = 3_500
SCAN_SHARE_MIN: Final = 0.5
_POINTS_PER_INCH: Final = 72

BEGUN: Final = b"PDFium reads; it aborts where it is out of memory\n"
ENDED: Final = b"PDFium has read\n"
"""Said on stderr: PDFium says nothing before it aborts, and who finds the process dead has to know why."""


class PagesUnreadable(Exception):
    """PDFium cannot open the document or one of its pages."""


def page_texts(data: bytes) -> list[str]:
    """The text of each page, as its author typed it. Raises PagesUnreadable."""
    return [page.get_textpage().get_text_bounded() for page in _pages(data)]


def pictures(
    data: bytes, numbers: frozenset[int] | None = None, *, dots_per_inch: int = DOTS_PER_INCH
) -> Iterator[tuple[int, "Image"]]:
    """Pages (numbers from 1; None is all) as grey pictures, one at a time. Raises PagesUnreadable."""
    for number, page in enumerate(_pages(data), 1):
        if numbers is None or number in numbers:
            scale = min(dots_per_inch / _POINTS_PER_INCH, SIDE_PIXELS_MAX / max(*page.get_size(), 1.0))
            yield number, page.render(scale=scale, grayscale=True).to_pil()


def with_large_pictures(data: bytes, numbers: frozenset[int]) -> frozenset[int]:
    """Those of the pages `numbers` that a picture covers by half and more: scans. Raises PagesUnreadable."""
    return frozenset(number for number, page in enumerate(_pages(data), 1) if number in numbers and _is_scan(page))


def _is_scan(page: Any) -> bool:
    import pypdfium2.raw

    width, height = page.get_size()
    for picture in page.get_objects(filter=[pypdfium2.raw.FPDF_PAGEOBJ_IMAGE]):
        left, bottom, right, top = picture.get_bounds()
        if (right - left) * (top - bottom) >= SCAN_SHARE_MIN * width * height:
            return True
    return False


def version() -> str:
    """Name and version, as kept with every text."""
    import pypdfium2

    return f"pdfium {pypdfium2.PDFIUM_INFO.build}"


def _pages(data: bytes) -> Iterator[Any]:
    import pypdfium2  # 30 ms, and few documents need it

    os.write(2, BEGUN)
    try:
        document = pypdfium2.PdfDocument(data)
        for index in range(len(document)):
            page = document[index]
            yield page
            page.close()
    except pypdfium2.PdfiumError as error:
        raise PagesUnreadable(str(error)) from error
    finally:
        os.write(2, ENDED)
