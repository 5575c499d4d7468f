"""Pure: looks a PDF over before a parser reads it: what is told here in milliseconds costs seconds or worse there."""

import re
import zlib
from collections.abc import Iterator, Mapping
from typing import Final

from knowledge.errors import ParseError, ParseErrorCode
from knowledge.limits import MEBIBYTE, ParseLimits

_FLATE: Final = re.compile(rb"/(?:FlateDecode|Fl)\b")
_STREAM: Final = re.compile(rb"(?<!end)stream\r?\n")
_END_OF_STREAM: Final = b"endstream"
_DICTIONARY_BYTES_MAX: Final = 1_024
"""How far before its stream a dictionary is looked for; one that names a filter is short."""
_FILTERS_MAX: Final = 4
"""Deflated more often, a stream is unpacked so often; nobody but a bomb does it twice."""
_INFLATE_RATIO_MAX: Final = 1_032
"""What deflate packs into a byte at the most: shorter streams cannot pass the limit and are left alone."""
_KIDS: Final = re.compile(rb"/Kids\s*\[([^\[\]/]*)\]")
_REFERENCE: Final = re.compile(rb"(\d{1,10})\s+\d{1,5}\s+R\b")
_OBJECT: Final = re.compile(rb"(\d{1,10})\s+\d{1,5}\s+obj\b")
_END_MARKS: Final = (b"startxref", b"%%EOF")


def scan_pdf(data: bytes, limits: ParseLimits) -> None:
    """Refuses a PDF that unpacks to too much or whose tree of pages has no end.

    Raises ParseError: resource_limit (a stream that unpacks to more than `pdf_stream_bytes_max`), parse_failed (a node
    of the tree of pages that holds itself). What lies in streams of objects is not seen.
    """
    for packed, flates in _flate_streams(data):
        if not _fits(packed, flates, limits.pdf_stream_bytes_max):
            raise ParseError(
                ParseErrorCode.RESOURCE_LIMIT,
                f"a part of the PDF unpacks to more than {limits.pdf_stream_bytes_max // MEBIBYTE} MiB",
            )
    if _leads_back(_kids(data)):
        raise ParseError(ParseErrorCode.PARSE_FAILED, "the PDF is damaged: its tree of pages leads back to itself")


def is_cut_off(data: bytes) -> bool:
    """Whether the end that every PDF has is missing."""
    return not any(mark in data for mark in _END_MARKS)


def _flate_streams(data: bytes) -> Iterator[tuple[memoryview, int]]:
    """Each deflated stream, and how many times over it is packed."""
    end = 0
    while found := _STREAM.search(data, end):
        end = data.find(_END_OF_STREAM, found.end())
        if end == -1:
            end = len(data)
        filters = len(_FLATE.findall(_dictionary(data, found.start())))
        if filters:
            yield memoryview(data)[found.end() : end], min(filters, _FILTERS_MAX)


def _dictionary(data: bytes, stream: int) -> bytes:
    before = data[max(0, stream - _DICTIONARY_BYTES_MAX) : stream]
    return before[max(before.rfind(b" obj"), before.rfind(b"endobj"), 0) :]


def _fits(packed: memoryview, flates: int, bytes_max: int) -> bool:
    if len(packed) * _INFLATE_RATIO_MAX**flates <= bytes_max:
        return True
    inflaters = [zlib.decompressobj() for _ in range(flates)]
    return _inflated_bytes(bytes(packed), inflaters, bytes_max) <= bytes_max


def _inflated_bytes(packed: bytes, inflaters: list["zlib._Decompress"], bytes_max: int) -> int:
    """What comes out of the last of `inflaters`; 0 for what is no deflated stream, which a parser will say better."""
    inflater, *rest = inflaters
    counted = 0
    try:
        while packed and not inflater.eof and counted <= bytes_max:
            piece = inflater.decompress(packed, MEBIBYTE)
            packed = inflater.unconsumed_tail
            counted += _inflated_bytes(piece, rest, bytes_max) if rest else len(piece)
    except zlib.error:
        return counted
    return counted


def _kids(data: bytes) -> Mapping[int, list[int]]:
    """Each object that has kids, with their numbers; of two of one number the later one counts."""
    kids: dict[int, list[int]] = {}
    for found in _KIDS.finditer(data):
        before = data[max(0, found.start() - _DICTIONARY_BYTES_MAX) : found.start()]
        if objects := _OBJECT.findall(before):
            kids[int(objects[-1])] = [int(number) for number in _REFERENCE.findall(found[1])]
    return kids


def _leads_back(kids: Mapping[int, list[int]]) -> bool:
    done: set[int] = set()
    for root in kids:
        path: list[int] = []
        on_path: set[int] = set()
        pending = [root]
        while pending:
            number = pending.pop()
            if number < 0:  # the mark behind the kids of the last one on the path
                on_path.discard(path[-1])
                done.add(path.pop())
            elif number in on_path:
                return True
            elif number not in done:
                path.append(number)
                on_path.add(number)
                pending += [-1, *kids.get(number, ())]
    return False
