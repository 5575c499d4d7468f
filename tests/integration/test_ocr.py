"""Scans and pictures in the sandbox, read by the tesseract that is installed; skipped where there is none."""

import io
import shutil
from collections.abc import AsyncIterator
from difflib import SequenceMatcher
from pathlib import Path

import pytest
import pytest_asyncio
from PIL import Image, ImageDraw, ImageFont

from knowledge import ocr
from knowledge.errors import ParseError, ParseErrorCode
from knowledge.limits import Ocr, ParseLimits
from knowledge.media_type import MediaType, sniff
from knowledge.text import ParsedText
from processors.sandbox import Sandbox, SandboxSettings
from tests.e2e.papers import blank_pdf

pytestmark = [
    pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed"),
    pytest.mark.asyncio(loop_scope="module"),
]

FIRST = ["The mill grinds forty tons of wheat", "on every working day of the year,", "but never on Sundays."]
SECOND = ["Spare millstones are kept on the", "second floor, behind the hoist."]
CHINESE = [
    "石磨养护规程",
    "石磨每磨一百二十吨小麦，需要重新凿刻一次。",
    "凿刻之前必须切断电源，并且挂上警示牌。",
    "面粉应当储存在干燥通风的地方，避免阳光直射。",
    "粮仓的温度不得超过二十五度，湿度不得超过百分之六十五。",
    "发现异常声音，应当立即停机检查轴承。",
]
MIXED = [
    "磨坊每天使用 MS-4410 型石磨",
    "The mill grinds 38 tonnes of wheat a day.",
    "备件编号 EL-0342，库存在二楼 Room 12",
    "Dress the stones every 120 tonnes, 并记录日期。",
    "紧急电话 Emergency: 400-820-8820",
]
DATA = Path(__file__).resolve().parents[1] / "data"
LIKENESS_MIN = 0.95
"""Of what is read to what is written, blanks aside: tesseract 5.3 reads 98 % and more, and one rare character wrong."""
LIMITS = ParseLimits(ocr_page_s=60)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox() -> AsyncIterator[Sandbox]:
    pool = Sandbox(SandboxSettings(children_max=1, limits=LIMITS))
    yield pool
    await pool.close()


def page(lines: list[str]) -> Image.Image:
    picture = Image.new("L", (1_000, 400), 255)
    ImageDraw.Draw(picture).multiline_text((60, 60), "\n".join(lines), fill=0, font=ImageFont.load_default(44))
    return picture


def saved(pictures: list[Image.Image], form: str) -> bytes:
    written = io.BytesIO()
    first, *others = pictures
    more = {"save_all": True, "append_images": others} if others else {}
    first.save(written, form, **more)
    return written.getvalue()


async def parse(sandbox: Sandbox, data: bytes, media_type: MediaType) -> ParsedText:
    async def pieces() -> AsyncIterator[bytes]:
        yield data

    return await sandbox.parse(pieces(), size_bytes=len(data), media_type=media_type, filename="scan")


def on_page(parsed: ParsedText, number: int) -> str:
    span = parsed.pages[number - 1]
    return " ".join(parsed.text[span.start : span.end].split())


@pytest.mark.parametrize(("form", "media_type"), [("PDF", MediaType.PDF), ("TIFF", MediaType.TIFF)])
async def test_each_page_of_a_scan_is_read(sandbox: Sandbox, form: str, media_type: MediaType) -> None:
    blank = Image.new("L", (1_000, 400), 255)
    parsed = await parse(sandbox, saved([page(FIRST), blank, page(SECOND)], form), media_type)
    assert [one.number for one in parsed.pages] == [1, 2, 3]
    assert "grinds forty tons of wheat" in on_page(parsed, 1)
    assert on_page(parsed, 2) == ""
    assert "behind the hoist" in on_page(parsed, 3)
    assert parsed.language == "en"
    assert parsed.parser.startswith("tesseract")
    assert any(warning.startswith("ocr:") for warning in parsed.warnings)


async def test_a_page_on_its_head_is_turned(sandbox: Sandbox) -> None:
    parsed = await parse(sandbox, saved([page(FIRST + SECOND).rotate(180)], "PNG"), MediaType.PNG)
    assert "forty tons of wheat" in on_page(parsed, 1)


@pytest.mark.skipif("chi_sim" not in ocr.languages(), reason="tesseract has no Chinese here")
@pytest.mark.parametrize(
    ("name", "shown", "words"),
    [
        ("chinese.png", CHINESE, ["石磨养护规程", "挂上警示牌", "避免阳光直射", "不得超过二十五度"]),
        ("chinese-and-english.png", MIXED, ["MS-4410型石磨", "grinds38tonnes", "EL-0342，库存在二楼", "并记录日期"]),
        ("chinese-scan.pdf", CHINESE[1:], ["一百二十吨小麦", "必须切断电源", "立即停机检查轴承"]),
    ],
)
async def test_chinese_is_read_alone_and_among_english(
    sandbox: Sandbox, name: str, shown: list[str], words: list[str]
) -> None:
    data = (DATA / name).read_bytes()
    parsed = await parse(sandbox, data, sniff(data, data, name))
    read, written = "".join(parsed.text.split()), "".join("".join(shown).split())
    likeness = SequenceMatcher(None, written, read, autojunk=False).ratio()
    assert likeness >= LIKENESS_MIN, parsed.text
    assert [word for word in words if word not in read] == []
    assert parsed.language == "zh"
    assert "chi_sim+eng" in parsed.parser
    assert [page.number for page in parsed.pages] == [1]


async def test_a_picture_of_nothing_holds_no_text(sandbox: Sandbox) -> None:
    for data, media_type in (
        (saved([Image.new("RGB", (300, 200), "red")], "BMP"), MediaType.BMP),
        (blank_pdf(), MediaType.PDF),
    ):
        with pytest.raises(ParseError) as caught:
            await parse(sandbox, data, media_type)
        assert caught.value.code is ParseErrorCode.NO_TEXT


async def test_a_picture_that_unpacks_to_too_much_is_refused(sandbox: Sandbox) -> None:
    bomb = saved([Image.new("1", (10_000, 7_000))], "PNG")
    assert len(bomb) < 200_000
    with pytest.raises(ParseError) as caught:
        await parse(sandbox, bomb, MediaType.PNG)
    assert caught.value.code is ParseErrorCode.RESOURCE_LIMIT


async def test_a_damaged_picture_is_no_surprise(sandbox: Sandbox) -> None:
    with pytest.raises(ParseError) as caught:
        await parse(sandbox, saved([page(FIRST)], "PNG")[:2_000], MediaType.PNG)
    assert caught.value.code is ParseErrorCode.PARSE_FAILED


async def test_what_the_time_does_not_allow_is_left_out_and_said() -> None:
    limits = ParseLimits(ocr_page_s=0, ocr=Ocr.AUTO)
    pool = Sandbox(SandboxSettings(children_max=1, limits=limits))
    try:
        with pytest.raises(ParseError) as caught:
            await parse(pool, saved([page(FIRST)], "PNG"), MediaType.PNG)
        assert caught.value.code is ParseErrorCode.RESOURCE_LIMIT
        assert "1 page was not read, the time was up" in caught.value.message
    finally:
        await pool.close()
