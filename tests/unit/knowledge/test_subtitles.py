"""Subtitles become what is said, and a heading a minute says when."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.limits import ParseLimits
from knowledge.media_type import MediaType
from knowledge.parsers import parse
from knowledge.subtitles import is_subrip, is_webvtt, read_cues, shown_time
from knowledge.text import ParsedText


def subtitles(text: str, media_type: MediaType = MediaType.SRT) -> ParsedText:
    return parse(text.encode(), media_type, "film", ParseLimits())


def cue(number: int, start_s: int, *lines: str) -> str:
    return f"{number}\n{shown_time(start_s)},000 --> {shown_time(start_s + 2)},500\n" + "\n".join(lines) + "\n\n"


def test_what_is_said_is_joined_over_cues_without_numbers_times_and_marks() -> None:
    parsed = subtitles(
        cue(1, 1, "<i>The mill</i> grinds", '<font color="#fff">forty tons</font>')
        + cue(2, 4, "{\\an8}of wheat &amp; rye.")
    )
    assert " ".join(parsed.text.split()) == "## 00:00:01 The mill grinds forty tons of wheat & rye."
    assert parsed.language is None or parsed.language == "en"


def test_the_time_is_the_heading_of_about_a_minute_and_a_sentence_is_not_cut() -> None:
    parsed = subtitles(
        cue(1, 0, "First.") + cue(2, 59, "Still the first,") + cue(3, 61, "and its end.") + cue(4, 62, "石磨转动。")
    )
    assert [heading.text for heading in parsed.headings] == ["00:00:00", "00:01:02"]
    assert parsed.heading_path(parsed.text.index("end.")) == ("00:00:00",)
    assert parsed.heading_path(parsed.text.index("石磨")) == ("00:01:02",)


def test_speech_without_stops_is_cut_in_the_end() -> None:
    parsed = subtitles("".join(cue(number, 10 * number, f"word {number}") for number in range(40)))
    assert [heading.text for heading in parsed.headings] == ["00:00:00", "00:02:00", "00:04:00", "00:06:00"]


def test_webvtt_loses_its_comments_styles_and_names_but_not_its_speakers() -> None:
    text = (
        "WEBVTT - a film\nKind: captions\n\nNOTE\nnot shown\n\nSTYLE\n::cue { color: red }\n\n"
        "intro\n00:01.000 --> 00:04.000 align:start\n<v Miller>The <c.loud>stones</c> turn\n\n"
        "01:00:04.000 --> 01:00:06.000\n<00:00:05.000>slowly\n"
    )
    parsed = subtitles(text, MediaType.VTT)
    assert parsed.text == "## 00:00:01\n\nMiller: The stones turn\n\n## 01:00:04\n\nslowly"


def test_captions_that_roll_up_say_each_line_once() -> None:
    rolling = cue(1, 1, "the stones") + cue(2, 2, "the stones", "turn slowly") + cue(3, 3, "turn slowly", "at night")
    assert subtitles(rolling).text.splitlines()[2:] == ["the stones", "turn slowly", "at night"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_cue_with_a_blank_line_or_without_one_before_the_next_loses_nothing(end: str) -> None:
    text = "1\n00:00:01,000 --> 00:00:02,000\nEvery day?\n\nYes.\n2\n00:00:03,000 --> 00:00:04,000\nAnd 3\n3\n"
    parsed = subtitles((text + "00:00:05,000 --> 00:00:06,000\nfeasts.").replace("\n", end))
    assert parsed.text.splitlines()[2:] == ["Every day?", "Yes.", "And 3", "feasts."]


def test_what_is_only_called_so_is_text() -> None:
    assert subtitles("Notes on a film.").text == "Notes on a film."
    chinese = "片名：石磨。磨坊每天磨三十八吨小麦。"
    assert parse(chinese.encode("gb18030"), MediaType.SRT, "a.srt", ParseLimits()).text == chinese


def test_the_first_line_tells_the_kind() -> None:
    assert is_webvtt("WEBVTT")
    assert is_webvtt("WEBVTT\n")
    assert not is_webvtt("WEBVTTs")
    assert is_subrip("\n12\r\n00:01:02,5 --> 00:01:03,5\n")
    assert not is_subrip("12\nmill")


@given(st.lists(st.sampled_from(["1", "00:00:01,000 --> 00:00:02,000", "", "mill", "NOTE", "WEBVTT", "<i>", "-->"])))
def test_every_word_within_cues_is_kept(lines: list[str]) -> None:
    text = "\n".join(["1", "00:00:00,000 --> 00:00:01,000", "stone", *lines])
    said = [line for cue in read_cues(text) for line in cue.lines]
    assert said[0] == "stone"
    assert said.count("mill") <= lines.count("mill")
    if not {"NOTE", "WEBVTT"} & set(lines) and "00:00:01,000 --> 00:00:02,000" not in lines:
        assert said.count("mill") == lines.count("mill")
