"""Bytes of a document -> ParsedText, by type.

Runs in a process of its own, which others limit and kill; imports little until a document needs it.
"""

import itertools
from collections.abc import Sequence
from typing import Final

import msgspec

from knowledge import xberg_reader
from knowledge.cjk_lines import join_cjk_lines
from knowledge.cleaning import clean
from knowledge.decode import decode
from knowledge.delimited import write_delimited
from knowledge.errors import ParseError, ParseErrorCode
from knowledge.html import as_utf8
from knowledge.inspection import look_over, notices, why_empty
from knowledge.json_text import json_lines
from knowledge.language import detect_language
from knowledge.limits import ParseLimits
from knowledge.mail import mail_members
from knowledge.markdown import outline, shorten_data_uris
from knowledge.media_type import IMAGES, MediaType, is_supported
from knowledge.members import OUTERMOST, ReadMember, Within, write_members
from knowledge.outlook import msg_members
from knowledge.pdf import second_look
from knowledge.pictures import parse_picture
from knowledge.speaker_notes import notes_by_slide
from knowledge.structure import Node, with_slide_pages, write_nodes
from knowledge.subtitles import write_subtitles
from knowledge.text import OWN_PARSER, ParsedText, TextFormat
from knowledge.writer import TextWriter
from knowledge.zip_members import zip_members

__all__ = ["ParseLimits", "parse"]

SHEET_LEVEL: Final = 2
# What the parser writes above the names of what is attached to a mail.
ATTACHMENTS_LABEL: Final = "Attachments:"
_WORKBOOKS: Final = frozenset({MediaType.XLSX, MediaType.XLS, MediaType.ODS})
_SLIDES: Final = frozenset({MediaType.PPTX, MediaType.PPT, MediaType.ODP})
_MAILS: Final = frozenset({MediaType.EML, MediaType.MSG})
_PLAIN: Final = frozenset({MediaType.PDF, MediaType.XML, MediaType.EML, MediaType.MSG})
# Word processors know their pages only where they left marks of the last layout; one page says nothing.
_PAGED_BY_MARKS: Final = frozenset({MediaType.DOCX, MediaType.ODT, MediaType.DOC, MediaType.RTF})


def parse(
    data: bytes, media_type: MediaType, filename: str, limits: ParseLimits, within: Within = OUTERMOST
) -> ParsedText:
    """The text of a document and its structure; `within` says what it lies in.

    Raises ParseError with the code that the document ends with: empty_document, unsupported_type,
    encrypted_document, no_text, archive_limit, archive_unsafe, resource_limit, parse_failed. Must not be called
    inside a running event loop.
    """
    if not data:
        raise ParseError(ParseErrorCode.EMPTY_DOCUMENT, "the file is empty (0 bytes)")
    if not is_supported(media_type):
        raise ParseError(ParseErrorCode.UNSUPPORTED_TYPE, f"files of type {media_type} hold no text to read")
    if media_type in IMAGES:
        return parse_picture(data, limits)
    look_over(data, media_type, limits)
    try:
        parsed = _parse_by_type(data, media_type, filename, limits, within)
        if not parsed.text.strip():
            raise _no_text()
    except ParseError as error:
        if error.code is ParseErrorCode.NO_TEXT and (reason := why_empty(data, media_type)):
            raise reason from error
        raise
    told = tuple(notices(data, media_type, parsed.text))
    return msgspec.structs.replace(parsed, warnings=parsed.warnings + told) if told else parsed


def _parse_by_type(
    data: bytes, media_type: MediaType, filename: str, limits: ParseLimits, within: Within
) -> ParsedText:
    match media_type:
        case MediaType.ZIP:
            return _parse_archive(data, limits, within)
        case MediaType.SRT | MediaType.VTT:
            return _parse_subtitles(data, limits)
        case MediaType.EML | MediaType.MSG:
            return _parse_mail(data, media_type, filename, limits, within)
        case MediaType.TEXT | MediaType.MARKDOWN:
            return _parse_text(data, media_type, limits)
        case MediaType.CSV | MediaType.TSV:
            return _parse_delimited(data, media_type, limits)
        case MediaType.JSON:
            return _parse_json(data, limits)
        case _ if media_type in _WORKBOOKS:
            return _parse_workbook(data, media_type, filename, limits)
        case _:
            return _parse_document(data, media_type, filename, limits)


def _parse_text(data: bytes, media_type: MediaType, limits: ParseLimits) -> ParsedText:
    decoded = decode(data, text_bytes_max=limits.text_bytes_max)
    text = clean(decoded.text)
    if media_type is MediaType.TEXT:
        return ParsedText(text=text, language=detect_language(text), parser=OWN_PARSER, warnings=decoded.warnings)
    text = shorten_data_uris(text)
    headings, tables = outline(text)
    return ParsedText(
        text=text,
        headings=headings,
        tables=tables,
        format=TextFormat.MARKDOWN,
        title=next((heading.text for heading in headings if heading.level == 1), None),
        language=detect_language(text),
        parser=OWN_PARSER,
        warnings=decoded.warnings,
    )


def _parse_delimited(data: bytes, media_type: MediaType, limits: ParseLimits) -> ParsedText:
    decoded = decode(data, text_bytes_max=limits.text_bytes_max)
    writer = TextWriter(TextFormat.MARKDOWN, limits)
    delimiter = "\t" if media_type is MediaType.TSV else None
    write_delimited(writer, decoded.text, delimiter=delimiter, limits=limits)
    language = detect_language(decoded.text)
    return writer.finish(parser=OWN_PARSER, title=None, language=language, warnings=decoded.warnings)


def _parse_json(data: bytes, limits: ParseLimits) -> ParsedText:
    decoded = decode(data, text_bytes_max=limits.text_bytes_max)
    if not decoded.text.strip():
        raise _no_text()
    writer = TextWriter(TextFormat.PLAIN, limits)
    writer.verbatim("\n".join(json_lines(decoded.text, limits)))
    language = detect_language(decoded.text)
    return writer.finish(parser=OWN_PARSER, title=None, language=language, warnings=decoded.warnings)


def _parse_subtitles(data: bytes, limits: ParseLimits) -> ParsedText:
    decoded = decode(data, text_bytes_max=limits.text_bytes_max)
    writer = TextWriter(TextFormat.MARKDOWN, limits)
    write_subtitles(writer, clean(decoded.text))
    if writer.is_blank:  # a text that is only called so
        return _parse_text(data, MediaType.TEXT, limits)
    parsed = writer.finish(parser=OWN_PARSER, title=None, language=None, warnings=decoded.warnings)
    return msgspec.structs.replace(parsed, language=detect_language(parsed.text))


def _parse_archive(data: bytes, limits: ParseLimits, within: Within) -> ParsedText:
    if within.archives >= limits.archive_depth_max:
        raise ParseError(
            ParseErrorCode.ARCHIVE_LIMIT, f"archives are opened {limits.archive_depth_max} deep in one another"
        )
    writer = TextWriter(TextFormat.MARKDOWN, limits)
    inside = Within(archives=within.archives + 1, mails=within.mails)
    told = write_members(writer, zip_members(data, limits), _reader(inside), limits)
    if writer.is_blank:
        raise told.refusal()
    parsed = writer.finish(
        parser=", ".join(dict.fromkeys((OWN_PARSER, *told.parsers))), title=None, language=None, warnings=told.warnings
    )
    return msgspec.structs.replace(parsed, language=detect_language(parsed.text))


def _parse_mail(data: bytes, media_type: MediaType, filename: str, limits: ParseLimits, within: Within) -> ParsedText:
    members = mail_members(data, limits) if media_type is MediaType.EML else msg_members(data, limits)
    parsed = _parse_document(data, media_type, filename, limits)
    if within.mails >= limits.archive_depth_max:
        return _with_unread(parsed, sum(1 for _ in members))
    writer = TextWriter(parsed.format, limits)
    writer.include(parsed, levels=0)
    inside = Within(archives=within.archives, mails=within.mails + 1)
    told = write_members(writer, members, _reader(inside), limits)
    if not told.parsers:
        return msgspec.structs.replace(parsed, warnings=parsed.warnings + told.warnings)
    whole = writer.finish(
        parser=", ".join(dict.fromkeys((parsed.parser, *told.parsers))),
        title=parsed.title,
        language=None,
        warnings=parsed.warnings + told.warnings,
    )
    return msgspec.structs.replace(whole, language=detect_language(whole.text, parsed.language))


def _with_unread(parsed: ParsedText, count: int) -> ParsedText:
    files = "1 file" if count == 1 else f"{count:,} files"
    unread = f"skipped: {files} attached to a mail within a mail ({ParseErrorCode.ARCHIVE_LIMIT})"
    return msgspec.structs.replace(parsed, warnings=(*parsed.warnings, unread)) if count else parsed


def _reader(within: Within) -> ReadMember:
    return lambda data, media_type, path, limits: parse(data, media_type, path, limits, within)


def _parse_workbook(data: bytes, media_type: MediaType, filename: str, limits: ParseLimits) -> ParsedText:
    found = xberg_reader.extract(data, media_type.value, filename, limits, output_format="plain", is_workbook=True)
    writer = TextWriter(TextFormat.MARKDOWN, limits)
    for sheet in found.sheets:
        writer.turn_to_page(sheet.number)
        if sheet.tables:  # a heading alone would make an empty workbook look like one with text
            writer.heading(SHEET_LEVEL, sheet.name)
        for rows in sheet.tables:
            writer.table(rows)  # cells verbatim: an asterisk in a sheet is an asterisk
    return _finish(writer, found)


def _parse_document(data: bytes, media_type: MediaType, filename: str, limits: ParseLimits) -> ParsedText:
    warnings: tuple[str, ...] = ()
    if media_type is MediaType.HTML:
        data, warnings = as_utf8(data, limits)
    # Slides have their titles and tables only in Markdown, HTML cells are free of links only in plain.
    output_format = "markdown" if media_type in _SLIDES else "plain"
    found = xberg_reader.extract(
        data, media_type.value, filename, limits, output_format=output_format, is_workbook=False
    )
    writer = TextWriter(TextFormat.PLAIN if media_type in _PLAIN else TextFormat.MARKDOWN, limits)
    nodes = with_slide_pages(found.nodes) if media_type in _SLIDES else found.nodes
    if media_type in _PAGED_BY_MARKS and found.page_count < 2:
        nodes = tuple(node.without_page() for node in nodes)
    if media_type is MediaType.PDF:
        nodes = join_cjk_lines(nodes)
    if media_type is MediaType.XML and all(node.block.node_type in {"group", "heading"} for node in nodes):
        raise _no_text()  # names of elements are no text
    if media_type in _MAILS and not _has_body(nodes):
        warnings += ("no_text: the message has no body, only what its head says",)
    write_nodes(
        writer,
        nodes,
        notes=notes_by_slide(data) if media_type is MediaType.PPTX else {},
        page_count=found.page_count if media_type in {MediaType.PDF, MediaType.PPTX} else 0,
    )
    parsed = _finish(writer, found, warnings)
    return second_look(data, parsed, limits) if media_type is MediaType.PDF else parsed


def _has_body(nodes: Sequence[Node]) -> bool:
    texts = [node.block.text for node in nodes if node.block.node_type != "metadata_block"]
    body = itertools.takewhile(lambda text: text != ATTACHMENTS_LABEL, texts)
    return any(text.strip() for text in body)


def _finish(writer: TextWriter, found: xberg_reader.Extracted, warnings: tuple[str, ...] = ()) -> ParsedText:
    parsed = writer.finish(
        parser=xberg_reader.version(), title=found.title, language=None, warnings=warnings + found.warnings
    )
    return msgspec.structs.replace(parsed, language=detect_language(parsed.text, found.language))


def _no_text() -> ParseError:
    return ParseError(ParseErrorCode.NO_TEXT, "the document holds no text")
