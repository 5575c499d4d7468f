"""How much of a document is read before it is called hostile."""

from enum import StrEnum
from typing import Final

import msgspec

MEBIBYTE: Final = 1024 * 1024


class Ocr(StrEnum):
    """Whether pictures of text are read: where tesseract is installed, or never."""

    AUTO = "auto"
    OFF = "off"


class ParseLimits(msgspec.Struct, frozen=True):
    """Limits of one parse; the first three are for the process around it, the rest are enforced here.

    Defaults come from measurements of hostile files: a 972 kB PDF that inflates to 1 GB, a 4.8 kB sheet that
    costs 1.3 GB elsewhere, a 296 kB workbook with 300 MB of text.
    """

    cpu_s: int = 30
    """CPU seconds, 1 to 600."""
    wall_s: int = 60
    """Seconds on the clock, 1 to 3,600."""
    memory_bytes_max: int = 1024 * MEBIBYTE
    """Resident bytes of the parsing process, from 256 MiB."""
    text_bytes_max: int = 50 * 1000 * 1000
    """UTF-8 bytes of the text that comes out."""
    archive_entries_max: int = 2000
    """Files inside a ZIP archive or a DOCX, XLSX, PPTX, ODF or EPUB container; parts of a mail."""
    archive_bytes_max: int = 500 * 1000 * 1000
    """Unpacked bytes of an archive or container, declared and counted."""
    archive_ratio_max: int = 200
    """Unpacked bytes for each packed byte, for the whole container and each file of 1 MiB and more."""
    archive_depth_max: int = 1
    """Archives in one another that are opened, and mails whose attachments are read; 0 reads none."""
    pdf_stream_bytes_max: int = 256 * MEBIBYTE
    """Unpacked bytes of one stream of a PDF; the largest picture that is read has 240 million."""
    table_cells_max: int = 1_000_000
    """Cells of all tables of one document."""
    table_field_chars_max: int = 1_000_000
    """Characters of one CSV or TSV field; an unclosed quote swallows the rest of a file into one."""
    json_depth_max: int = 200
    """Levels of JSON nesting."""
    pages_max: int = 10_000
    """Pages or slides."""
    ocr: Ocr = Ocr.AUTO
    """Scanned pages and pictures."""
    ocr_page_s: int = 30
    """Seconds for one page, 1 to 600; a page of A4 takes 1 to 9."""
    ocr_s: int = 180
    """Seconds for all pages of one document, 1 to 3,600, on top of `wall_s`; what is left then stays unread."""
    ocr_pixels_max: int = 60_000_000
    """Pixels of one picture, as its head declares them."""

    def wall_s_of(self, *, may_need_ocr: bool) -> int:
        """How long the process around a parse waits."""
        return self.wall_s + (self.ocr_s if may_need_ocr and self.ocr is Ocr.AUTO else 0)
