"""The settings of parsing: unit, range, default, meaning. They are part of `Settings`."""

from typing import Annotated, Literal

from msgspec import Meta

from millstream.settings_index import IndexFields


class ParsingFields(IndexFields, frozen=True, kw_only=True):
    """See docs/formats.md."""

    parse_processes: Annotated[int, Meta(ge=1, le=64, description="parsing child processes of a worker")] = 1
    parse_memory_bytes_max: Annotated[int, Meta(ge=268_435_456, description="memory of a parsing child, bytes")] = (
        1_073_741_824
    )
    parse_cpu_s_max: Annotated[int, Meta(ge=1, le=3_600, description="CPU time for one document, seconds")] = 30
    parse_wall_s_max: Annotated[int, Meta(ge=1, le=3_600, description="time for one document, seconds")] = 60
    through_bytes_max: Annotated[
        int,
        Meta(
            ge=0,
            le=16 * 1024 * 1024,
            description="documents up to this size take all steps from parse to index in one turn, bytes; 0: none",
        ),
    ] = 256 * 1024
    archive_entries_max: Annotated[
        int, Meta(ge=1, le=100_000, description="files in one archive or Office file, parts of one mail")
    ] = 2_000
    archive_bytes_max: Annotated[
        int, Meta(ge=1_000_000, description="what one archive or Office file may unpack to, bytes")
    ] = 500_000_000
    archive_depth_max: Annotated[
        int,
        Meta(
            ge=0, le=4, description="how deep archives, and mails with attachments, are opened in one another; 0: never"
        ),
    ] = 1
    ocr: Annotated[
        Literal["auto", "off"],
        Meta(description="read scans and pictures: auto where tesseract is on the PATH of the workers, or off"),
    ] = "auto"
    ocr_page_s_max: Annotated[int, Meta(ge=1, le=600, description="time to read one scanned page, seconds")] = 30
    ocr_s_max: Annotated[
        int,
        Meta(ge=1, le=3_600, description="time to read all scanned pages of a document, seconds; the rest is left out"),
    ] = 180
    allow_unsandboxed: Annotated[
        bool, Meta(description="parse even where this system cannot cut parsers off from the network")
    ] = False
