"""The language of a text is named where script or small words tell it, and not otherwise."""

import pytest

from knowledge.language import detect_language


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The mill grinds the wheat of the farms that lie along the river, and it is the oldest in town.", "en"),
        ("Die Mühle mahlt den Weizen der Höfe, die am Fluss liegen, und sie ist die älteste der Stadt.", "de"),
        ("Le moulin moud le blé des fermes qui se trouvent au bord de la rivière, pour les boulangers.", "fr"),
        ("赤杨磨坊每天磨三十八吨小麦。", "zh"),
        ("石磨的配件编号为MS-4410 (mill bill, tungsten tip)，备用的磨凿放在二楼工具柜的第三层。", "zh"),
        ("水車小屋では毎日小麦を挽いています。", "ja"),
        ("방앗간에서는 매일 밀을 갑니다.", "ko"),
        ("تحسين الإنتاجية وحل المشكلات من خلال البرمجة", "ar"),
        ("بهترین راه برای یادگیری زبان پارسی", None),
        ("Старая мельница стоит на берегу реки", "ru"),
        ("Старий млин стоїть на березі річки", None),
        ("MS-4410 RS-2207", None),
        ("", None),
        ("12345 67890 ---", None),
    ],
)
def test_the_language_is_told_by_the_text(text: str, language: str | None) -> None:
    assert detect_language(text) == language


@pytest.mark.parametrize(("tag", "language"), [("zh-CN", "zh"), ("EN_us", "en"), ("x-klingon", None), (None, None)])
def test_a_declared_language_fills_in_where_the_text_is_silent(tag: str | None, language: str | None) -> None:
    assert detect_language("MS-4410", tag) == language


def test_the_text_wins_over_what_is_declared() -> None:
    assert detect_language("赤杨磨坊每天磨三十八吨小麦。", "en") == "zh"
