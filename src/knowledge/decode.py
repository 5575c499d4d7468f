"""Pure: bytes of a text file -> str, whatever they were written in."""

import codecs
import re
from collections.abc import Iterator
from typing import Final

import msgspec

from knowledge.errors import ParseError, ParseErrorCode

TEXT_BYTES_MAX: Final = 50 * 1000 * 1000
SAMPLE_BYTES_MAX: Final = 256 * 1024
# Pages in the wild put the declaration behind kilobytes of script; the standard's 1,024 bytes miss it.
DECLARATION_BYTES_MAX: Final = 64 * 1024
# Below this share of everyday characters a guessed multi-byte encoding is noise that happens to decode.
COMMON_SHARE_MIN: Final = 0.7
# Hangul and the first half of everyday Chinese share their bytes. Chinese needs the other half as well, so a text
# that stays within the first half over this many characters is Korean.
HANGUL_SHARE_MIN: Final = 0.97
HANGUL_COUNT_MIN: Final = 12
WIDE_PRINTABLE_MIN: Final = 0.9
# UTF-16 of nothing but readable ASCII is Latin text, every second byte of it NUL; fewer are strays in an ASCII text.
WIDE_NUL_SHARE_MIN: Final = 0.25
# EBCDIC, of mainframes: its blank is `@`, its letters are no ASCII.
EBCDIC: Final = "cp037"
EBCDIC_BLANK: Final = b"\x40"
EBCDIC_BLANK_SHARE_MIN: Final = 0.05
EBCDIC_EVERYDAY_MIN: Final = 0.95
_ANCHORS: Final = frozenset(" \n\r\t,.:;-0123456789abcdefghijklmnopqrstuvwxyz，。、")
_READABLE_ASCII: Final = bytes([0, 9, 10, 13, *range(32, 127)])
_EBCDIC_LINE_ENDS: Final = "\x85\x8d"

_BOMS: Final = (  # UTF-32 first: its little-endian mark starts with that of UTF-16.
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_DECLARATION: Final = re.compile(
    rb"""<\?xml[^>]{0,200}?encoding\s*=\s*["']([\w.:-]{2,40})|<meta[^>]{0,500}?charset\s*=\s*["']?\s*([\w.:-]{2,40})""",
    re.IGNORECASE,
)
# What writers mean by these names is the larger vendor set; browsers read them so (WHATWG Encoding, 4.2).
_MEANT: Final = {
    "gb2312": "gb18030", "gbk": "gb18030", "gb_2312-80": "gb18030", "cp936": "gb18030", "x-gbk": "gb18030",
    "big5": "cp950", "shift_jis": "cp932", "shift-jis": "cp932", "x-sjis": "cp932", "sjis": "cp932",
    "euc-kr": "cp949", "ks_c_5601-1987": "cp949", "iso-8859-1": "cp1252", "latin1": "cp1252",
    "us-ascii": "cp1252", "ascii": "cp1252", "iso-8859-9": "cp1254", "tis-620": "cp874", "iso-8859-11": "cp874",
}  # fmt: skip
# In the order of preference among equals. The pattern is what everyday text of that language consists of:
# the first level of each national set is sorted by use, so a wrong guess lands outside it.
_MULTI_BYTE: Final = (
    ("gb18030", "gb2312"),
    ("cp950", "big5"),
    ("cp932", "shift_jis"),
    ("euc_jp", "euc_jp"),
    ("cp949", "euc_kr"),
)
_SINGLE_BYTE: Final = (
    "cp1252", "cp1250", "cp1251", "koi8_r", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp874",
    "iso8859_2", "iso8859_5", "mac_roman",
)  # fmt: skip


class Decoded(msgspec.Struct, frozen=True):
    """A text, the encoding it was read in, and whether characters were lost."""

    text: str
    encoding: str
    warnings: tuple[str, ...] = ()


def decode(data: bytes, *, text_bytes_max: int = TEXT_BYTES_MAX) -> Decoded:
    """The text of `data`: by byte order mark, UTF-8, NUL pattern, declaration, then by guess.

    Raises ParseError(resource_limit) above `text_bytes_max` bytes. Bytes that fit no encoding become U+FFFD and
    a warning, never an error.
    """
    if len(data) > text_bytes_max:
        raise ParseError(
            ParseErrorCode.RESOURCE_LIMIT,
            f"the text has {len(data):,} bytes; at most {text_bytes_max:,} are read",
        )
    for encoding in _candidates(data):
        try:
            text = data.decode(encoding)
        except (UnicodeDecodeError, LookupError):
            continue
        return Decoded(text=text.removeprefix("\ufeff"), encoding=encoding)
    return _with_replacement(data)


def _candidates(data: bytes) -> Iterator[str]:
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            yield encoding
    sample = data[:SAMPLE_BYTES_MAX]
    if b"\0" in sample and not _has_stray_nuls(sample) and (wide := _wide_encoding(sample)):
        yield wide
    if b"\x1b" in sample and (b"\x1b$" in sample or b"\x1b(J" in sample):
        yield "iso2022_jp"  # all its bytes are ASCII: it must come before UTF-8
    yield "utf-8"
    if declared := declared_encoding(data):
        yield declared
    if _is_ebcdic(sample):
        yield EBCDIC
    yield from _multi_byte_guesses(sample)
    if guessed := _single_byte_guess(sample):
        yield guessed


def declared_encoding(data: bytes) -> str | None:
    """What an XML declaration or an HTML `meta` near the start of `data` names, in Python's spelling."""
    found = _DECLARATION.search(data[:DECLARATION_BYTES_MAX])
    if found is None:
        return None
    name = (found[1] or found[2]).decode("ascii").lower()
    if name.startswith(("utf-16", "utf-32", "utf16", "utf32")):
        return None  # readable as ASCII, so it cannot be what it says
    name = _MEANT.get(name, name)
    try:
        codecs.lookup(name)
    except (LookupError, ValueError):
        return None
    return name


def _has_stray_nuls(sample: bytes) -> bool:
    is_readable = not sample.translate(None, _READABLE_ASCII)
    return is_readable and sample.count(0) < WIDE_NUL_SHARE_MIN * len(sample)


def _is_ebcdic(sample: bytes) -> bool:
    if b" " in sample or sample.count(EBCDIC_BLANK) < EBCDIC_BLANK_SHARE_MIN * len(sample):
        return False
    text = sample.decode(EBCDIC).lower()
    return sum(char in _ANCHORS or char in _EBCDIC_LINE_ENDS for char in text) >= EBCDIC_EVERYDAY_MIN * len(text)


def _wide_encoding(sample: bytes) -> str | None:
    """UTF-16 or UTF-32 without a mark: hardly an unassigned character, and the most blanks, digits and stops.

    Read with its bytes swapped, Chinese is still mostly printable; but a blank becomes U+2000 and a line end
    U+0A00, so the everyday ASCII tells the order.
    """
    best, best_anchors = None, 0
    for encoding, unit in (("utf-32-le", 4), ("utf-32-be", 4), ("utf-16-le", 2), ("utf-16-be", 2)):
        text = sample[: len(sample) - len(sample) % unit].decode(encoding, errors="replace")
        anchors = sum(1 for char in text if char in _ANCHORS)
        if anchors > best_anchors and _printable_share(text) >= WIDE_PRINTABLE_MIN:
            best, best_anchors = encoding, anchors
    return best


def _printable_share(text: str) -> float:
    good = sum(1 for char in text if char in "\n\r\t" or (char.isprintable() and char != "\ufffd"))
    return good / len(text) if text else 0.0


def _multi_byte_guesses(sample: bytes) -> list[str]:
    """Double-byte encodings that read `sample` without error as mostly everyday characters, best first."""
    scored = []
    for order, (encoding, everyday) in enumerate(_MULTI_BYTE):
        text = _decode_sample(sample, encoding)
        if text is None:
            continue
        share, count = _common_share(text, everyday)
        if everyday == "euc_kr" and share >= HANGUL_SHARE_MIN and count >= HANGUL_COUNT_MIN:
            share = 2.0
        if share >= COMMON_SHARE_MIN:
            scored.append((-share, order, encoding))
    return [encoding for _, _, encoding in sorted(scored)]


def _decode_sample(sample: bytes, encoding: str) -> str | None:
    # The sample may end inside a character: an incremental decoder keeps the torn tail to itself.
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        return decoder.decode(sample, final=len(sample) < SAMPLE_BYTES_MAX)
    except UnicodeDecodeError:
        return None


def _common_share(text: str, everyday: str) -> tuple[float, int]:
    """The share of the non-ASCII characters of `text` that everyday writing in that encoding uses; their number."""
    foreign = [char for char in text if not char.isascii()]
    if not foreign:
        return 0.0, 0
    return sum(_is_everyday(char, everyday) for char in foreign) / len(foreign), len(foreign)


def _is_everyday(char: str, everyday: str) -> bool:
    try:
        code = char.encode(everyday)
    except UnicodeEncodeError:
        return False
    if len(code) != 2:
        return False  # half-width katakana: what other encodings look like in Shift-JIS
    lead = code[0]
    match everyday:
        case "gb2312":
            return 0xB0 <= lead <= 0xD7 or lead in {0xA1, 0xA3}
        case "big5":
            return 0xA4 <= lead <= 0xC6 or lead in {0xA1, 0xA2}
        case "shift_jis":
            return 0x88 <= lead <= 0x97 or lead in {0x81, 0x82, 0x83}
        case "euc_jp":
            return 0xB0 <= lead <= 0xCF or lead in {0xA1, 0xA3, 0xA4, 0xA5}
        case _:
            return 0xB0 <= lead <= 0xC8


def _single_byte_guess(sample: bytes) -> str | None:
    # 20 ms to import, and needed only for text that is neither Unicode nor double-byte.
    from charset_normalizer import from_bytes

    best = from_bytes(sample, cp_isolation=list(_SINGLE_BYTE)).best()
    return best.encoding if best is not None else None


def _with_replacement(data: bytes) -> Decoded:
    encoding = next((name for mark, name in _BOMS if data.startswith(mark)), None) or declared_encoding(data)
    encoding = encoding or "utf-8"
    text = data.decode(encoding, errors="replace").removeprefix("\ufeff")
    lost = text.count("\ufffd")
    characters = "1 character" if lost == 1 else f"{lost:,} characters"
    return Decoded(text=text, encoding=encoding, warnings=(f"{characters} could not be read as {encoding}",))
