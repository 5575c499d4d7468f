"""How much of a document is read before it is called hostile."""

from typing import Final

import msgspec

MEBIBYTE: Final = 1024 * 1024


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
    """Files inside a DOCX, XLSX, PPTX, ODF or EPUB container."""
    archive_bytes_max: int = 500 * 1000 * 1000
    """Unpacked bytes of such a container, declared and counted."""
    archive_ratio_max: int = 200
    """Unpacked bytes for each packed byte, for the whole container and each file of 1 MiB and more."""
    table_cells_max: int = 1_000_000
    """Cells of all tables of one document."""
    table_field_chars_max: int = 1_000_000
    """Characters of one CSV or TSV field; an unclosed quote swallows the rest of a file into one."""
    json_depth_max: int = 200
    """Levels of JSON nesting."""
    pages_max: int = 10_000
    """Pages or slides."""
