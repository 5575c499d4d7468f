"""Text is read in the encoding it was written in, declared or not."""

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.decode import decode
from knowledge.errors import ParseError, ParseErrorCode
from knowledge.html import as_utf8
from knowledge.limits import ParseLimits

CHINESE = "赤杨磨坊每天磨三十八吨小麦。石磨要定期修凿，面粉才不会发热，\n面团也不会发粘。"
TRADITIONAL = "磨坊每天磨三十八噸小麥。石磨要定期修鑿，麵粉才不會發熱，\n麵團也不會發黏。"
JAPANESE = "水車小屋では毎日小麦を挽いています。石臼の目立てを忘れると、\n粉が熱くなります。"
KOREAN = "방앗간에서는 매일 밀을 갑니다. 맷돌을 다듬지 않으면\n밀가루가 뜨거워집니다."
RUSSIAN = "Мельница каждый день мелет тридцать восемь тонн пшеницы. Жернова нужно насекать вовремя.\n"
GERMAN = "Die Mühle mahlt täglich achtunddreißig Tonnen Weizen. Die Mühlsteine müssen rechtzeitig geschärft werden.\n"
ENGLISH = "The mill grinds 38 tonnes of wheat a day.\n"


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\x1b\ufeff")))
def test_utf_8_is_read_as_it_is(text: str) -> None:
    assert decode(text.encode()).text == text


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
    ],
)
@pytest.mark.parametrize("text", [CHINESE, ENGLISH, "a"])
def test_a_byte_order_mark_decides_and_disappears(mark: bytes, encoding: str, text: str) -> None:
    assert decode(mark + text.encode(encoding)).text == text


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("text", [CHINESE, ENGLISH, RUSSIAN])
def test_wide_text_without_a_mark_is_told_by_its_nuls(encoding: str, text: str) -> None:
    assert decode(text.encode(encoding)).text == text


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (CHINESE, "gb18030"),
        (TRADITIONAL, "big5"),
        (JAPANESE, "shift_jis"),
        (JAPANESE, "euc_jp"),
        (JAPANESE, "iso2022_jp"),
        (KOREAN, "euc_kr"),
        (RUSSIAN, "cp1251"),
        (RUSSIAN, "koi8_r"),
        (GERMAN, "cp1252"),
    ],
)
def test_an_undeclared_encoding_is_guessed(text: str, encoding: str) -> None:
    decoded = decode(text.encode(encoding))
    assert decoded.text == text
    assert decoded.warnings == ()


@pytest.mark.parametrize(
    ("head", "encoding"),
    [
        ('<html><head><meta charset="gb2312">', "gb18030"),
        ("<meta http-equiv='Content-Type' content='text/html; charset=GBK'>", "gb18030"),
        ('<?xml version="1.0" encoding="big5"?>', "cp950"),
    ],
)
def test_a_declaration_is_believed_where_it_fits(head: str, encoding: str) -> None:
    text = head + "磨坊面粉" if encoding == "gb18030" else head + "磨坊麵粉"
    assert decode(text.encode(encoding)).text == text


def test_a_declaration_that_does_not_fit_is_ignored() -> None:
    text = '<meta charset="shift_jis">' + CHINESE
    assert decode(text.encode("gb18030")).text == text


def test_bytes_in_no_encoding_are_replaced_with_a_warning() -> None:
    decoded = decode(b"mill \xff\xfe\xfd\x81 \xc3\x28 stone \x81\x8d\x8f\x90\x9d")
    assert decoded.text.startswith("mill")
    assert decoded.warnings or "\ufffd" not in decoded.text


def test_more_than_the_limit_is_refused() -> None:
    with pytest.raises(ParseError) as caught:
        decode(b"x" * 101, text_bytes_max=100)
    assert caught.value.code is ParseErrorCode.RESOURCE_LIMIT


@given(st.binary(max_size=200))
def test_any_bytes_become_some_text(data: bytes) -> None:
    assert isinstance(decode(data).text, str)


@pytest.mark.parametrize(("rest", "lost"), [(b"", "1 character"), (b"b\0\0\xd8", "2 characters")])
def test_what_could_not_be_read_is_counted(rest: bytes, lost: str) -> None:
    decoded = decode(codecs.BOM_UTF16_LE + b"\0\xd8a\0" + rest)
    assert decoded.warnings == (f"{lost} could not be read as utf-16-le",)


def test_a_page_is_handed_on_in_utf_8_and_says_so() -> None:
    page = f'<html><head><meta charset="gb2312"><title>{CHINESE}</title>'
    data, warnings = as_utf8(page.encode("gb18030"), ParseLimits())
    assert data.decode() == page.replace("gb2312", "utf-8")
    assert warnings == ()


@pytest.mark.parametrize("line_end", ["\n", "\x85", "\r\n"])
def test_text_of_a_mainframe_is_told_by_its_blanks(line_end: str) -> None:
    text = f"The mill grinds 38 tonnes of wheat a day.{line_end}The stones were dressed in May.{line_end}"
    assert decode(text.encode("cp037")).text == text


@pytest.mark.parametrize("encoding", ["utf-32", "utf-32-le", "utf-32-be"])
def test_four_bytes_a_character_are_told_with_and_without_a_mark(encoding: str) -> None:
    assert decode(f"{ENGLISH}{CHINESE}".encode(encoding)).text == f"{ENGLISH}{CHINESE}"


def test_a_stray_nul_makes_no_wide_text() -> None:
    assert decode(b"a,b\n1,\0mill\n").text == "a,b\n1,\0mill\n"
