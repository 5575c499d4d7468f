"""The project's own sample documents read as they were written: words, pages, headings, tables, languages."""

from pathlib import Path

import pytest

from knowledge.text import ParsedText, TextFormat
from tests.parsing import parsing_children

SAMPLES = Path(__file__).resolve().parents[2] / "samples"


@pytest.fixture(scope="module")
def texts() -> dict[str, ParsedText]:
    paths = sorted(path for path in SAMPLES.iterdir() if path.name != "README.md")
    with parsing_children() as parse_all:
        answers = parse_all(paths)
    assert [answer for answer in answers.values() if answer.text is None] == []
    return {path.name: answer.text for path, answer in answers.items() if answer.text is not None}


@pytest.mark.parametrize(
    ("name", "phrase", "page"),
    [
        ("safety-handbook.pdf", "Compressed air must not be used for cleaning", 2),
        ("safety-handbook.pdf", "Nobody enters a silo alone", 3),
        ("safety-handbook.pdf", "SH-2025-014", 4),
        ("石磨养护规程.pdf", "必须停机修凿磨石", 1),
        ("石磨养护规程.pdf", "磨面由磨膛和磨齿组成", 1),
        ("石磨养护规程.pdf", "必须佩戴FFP3口罩、护目镜和手套，修凿间的抽风机要一直开着", 2),
        ("apprentice-training.pptx", "Ergot is sorted out by colour", 2),
        ("apprentice-training.pptx", "recall in 2019", 2),
        ("apprentice-training.pptx", "| B1 | fluted | 4.1 | 0.8 mm |", 4),
        ("parts-and-prices.xlsx", "EL-0342", 1),
        ("parts-and-prices.xlsx", "Wheat flour Type 550", 2),
        ("parts-and-prices.xlsx", "石磨全麦粉", 3),
        ("flour-grades.docx", "A lorry of wheat under 220 seconds is refused", None),
        ("面粉等级与储存.html", "因为胚芽里的油脂会变质", None),
        ("夜班交接记录.txt", "二号斗式提升机轴承温度升到六十六摄氏度", None),
        ("maintenance-schedule.md", "Furrows are 6 mm deep at the eye", None),
        ("grain-deliveries.csv", "| D-26-104 | 2026-02-03 |", None),
    ],
)
def test_a_phrase_stands_on_its_page(name: str, phrase: str, page: int | None, texts: dict[str, ParsedText]) -> None:
    parsed = texts[name]
    assert phrase in parsed.text
    assert parsed.page_of(parsed.text.index(phrase)) == page


@pytest.mark.parametrize(
    ("name", "phrase", "path"),
    [
        ("flour-grades.docx", "Wheat for bread needs", ("Quality tests", "Falling number")),
        ("safety-handbook.pdf", "Hot work", ("Flour dust and explosions", "Ignition sources")),
        ("面粉等级与储存.html", "印度谷螟", ("面粉等级与储存", "虫害防治")),
        ("parts-and-prices.xlsx", "高筋小麦粉", ("价目表",)),
        ("apprentice-training.pptx", "Target moisture", ("Conditioning",)),
        (
            "maintenance-schedule.md",
            "taken down with the mill bill",
            ("Maintenance schedule of the Aldermill", "Every 120 tonnes: dressing the stones"),
        ),
    ],
)
def test_a_phrase_stands_under_its_headings(
    name: str, phrase: str, path: tuple[str, ...], texts: dict[str, ParsedText]
) -> None:
    parsed = texts[name]
    assert parsed.heading_path(parsed.text.index(phrase)) == path


@pytest.mark.parametrize(
    ("name", "rows", "columns"),
    [
        ("flour-grades.docx", 6, 5),
        ("apprentice-training.pptx", 4, 4),
        ("面粉等级与储存.html", 5, 4),
        ("grain-deliveries.csv", 11, 9),
        ("maintenance-schedule.md", 5, 4),
    ],
)
def test_a_table_keeps_its_size(name: str, rows: int, columns: int, texts: dict[str, ParsedText]) -> None:
    (table,) = texts[name].tables
    assert (table.rows, table.columns) == (rows, columns)


def test_languages_and_formats_are_told(texts: dict[str, ParsedText]) -> None:
    languages = {name: parsed.language for name, parsed in texts.items() if parsed.language}
    assert {name for name, language in languages.items() if language == "zh"} == {
        "石磨养护规程.pdf",
        "面粉等级与储存.html",
        "夜班交接记录.txt",
    }
    assert {name for name, language in languages.items() if language == "en"} >= {
        "safety-handbook.pdf",
        "flour-grades.docx",
        "apprentice-training.pptx",
        "maintenance-schedule.md",
    }
    plain = {name for name, parsed in texts.items() if parsed.format is TextFormat.PLAIN}
    assert plain == {"safety-handbook.pdf", "石磨养护规程.pdf", "夜班交接记录.txt"}
