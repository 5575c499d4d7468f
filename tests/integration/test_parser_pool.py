"""A worker does not parse in the open: without a flag it stops, and says which; the doctor says so too."""

from pathlib import Path

import pytest

from millstream.errors import ExitCode, Stop
from millstream.parser_pool import check_parsers, sandbox_settings, warm_parsers
from millstream.settings import Settings, load_settings
from processors.sandbox import Sandbox

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def open_child(tmp_path: Path) -> Path:
    """A child on a system whose kernel does not shut it in."""
    script = tmp_path / "open.py"
    lines = ["import sys", f"sys.path.append({str(ROOT / 'src')!r})", "from processors import parse_child"]
    lines += ["parse_child.isolate = lambda: 'the kernel refuses'", "parse_child.main()"]
    script.write_text("\n".join(lines), encoding="utf-8")
    return script


async def test_a_worker_stops_where_parsers_cannot_be_shut_in(open_child: Path) -> None:
    sandbox = Sandbox(sandbox_settings(Settings()), script=open_child)
    with pytest.raises(Stop, match=r"the kernel refuses.*MILLSTREAM_ALLOW_UNSANDBOXED=true") as caught:
        await warm_parsers(sandbox)
    assert caught.value.exit_code is ExitCode.UNREACHABLE
    assert caught.value.hint == "documents are parsed apart or not at all"


async def test_the_doctor_says_the_same(open_child: Path) -> None:
    with pytest.raises(Stop, match="cannot be cut off from the network here"):
        await check_parsers(Settings(), script=open_child)


async def test_the_flag_accepts_the_risk_and_the_doctor_names_it(open_child: Path) -> None:
    allowed = load_settings({"MILLSTREAM_ALLOW_UNSANDBOXED": "true", "MILLSTREAM_OCR": "off"}).settings
    assert not Settings().allow_unsandboxed
    assert await check_parsers(allowed, script=open_child) == (
        "allowed to reach the network (the kernel refuses); scans: off"
    )


async def test_here_they_are_shut_in() -> None:
    assert (await check_parsers(Settings())).startswith("cut off from the network; scans: ")


async def test_limits_come_from_the_settings() -> None:
    named = {
        "MILLSTREAM_ARCHIVE_DEPTH_MAX": "2",
        "MILLSTREAM_ARCHIVE_ENTRIES_MAX": "7",
        "MILLSTREAM_PARSE_CPU_S_MAX": "9",
    }
    limits = sandbox_settings(load_settings(named).settings).limits
    assert (limits.archive_depth_max, limits.archive_entries_max, limits.cpu_s) == (2, 7, 9)
