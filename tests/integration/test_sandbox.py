"""The sandbox with real children: what hostile documents do, and that neither worker nor neighbours suffer from it."""

import asyncio
import os
import select
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from knowledge.errors import ParseError, ParseErrorCode
from knowledge.limits import ParseLimits
from knowledge.media_type import MediaType
from knowledge.text import ParsedText
from processors.sandbox import LIGHT_DOCUMENTS, ParserCrashed, Sandbox, SandboxSettings, SandboxUnavailable
from tests.servers.service_process import processes_in_sessions
from tests.waiting import is_alive, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the tests watch processes through /proc and pidfd")

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = Path(__file__).with_name("hostile_parse_child.py")
LIMITS = ParseLimits(cpu_s=1, wall_s=5, memory_bytes_max=256 * 1024 * 1024)

LITTLE_PARENT = """
import asyncio, os, sys
from pathlib import Path
from processors.parse_process import ParseProcess
from processors.parse_frames import ParseRequest
from knowledge.limits import ParseLimits

async def pieces():
    yield sys.argv[2].encode()

async def main():
    child = await ParseProcess.start(Path(sys.argv[1]))
    if sys.argv[2]:
        await child.feed(ParseRequest(len(sys.argv[2]), "text/plain", "a.txt", ParseLimits()), pieces())
    print(child.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def pieces_of(data: bytes, size: int = 7) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def parse(sandbox: Sandbox, text: str, filename: str = "a.txt") -> ParsedText:
    data = text.encode()
    return await sandbox.parse(pieces_of(data), size_bytes=len(data), media_type=MediaType.TEXT, filename=filename)


@pytest.fixture
async def hostile() -> AsyncIterator[Sandbox]:
    sandbox = Sandbox(SandboxSettings(children_max=2, documents_per_child=3, limits=LIMITS), script=HOSTILE)
    yield sandbox
    await sandbox.close()


async def process_of(sandbox: Sandbox, text: str = "who") -> int:
    return int((await parse(sandbox, text)).text.split()[-1].rstrip(")"))


def wait_for_exit(pid: int, *, deadline_s: float = 5.0) -> None:
    """Returns when the process has ended; raises TimeoutError. A pidfd becomes readable in that moment."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        ended, _, _ = select.select([process], [], [], deadline_s)
    finally:
        os.close(process)
    if not ended:
        raise TimeoutError(f"process {pid} lives on")


async def gone(pid: int) -> None:
    await asyncio.to_thread(wait_for_exit, pid)


async def test_real_documents_become_text() -> None:
    sandbox = Sandbox(SandboxSettings(children_max=1))
    try:
        await sandbox.warm()
        page = "<html><body><h1>石磨</h1><p>The mill grinds slowly.</p></body></html>".encode()
        parsed = await sandbox.parse(
            pieces_of(page), size_bytes=len(page), media_type=MediaType.HTML, filename="mill.html"
        )
        assert "The mill grinds slowly." in parsed.text
        assert parsed.headings[0].text == "石磨"
        with pytest.raises(ParseError) as refused:
            await sandbox.parse(pieces_of(b"%PDF-1.4 no"), size_bytes=11, media_type=MediaType.PDF, filename="x.pdf")
        assert refused.value.code is ParseErrorCode.PARSE_FAILED
    finally:
        await sandbox.close()


async def test_a_child_serves_several_documents_and_is_then_replaced(hostile: Sandbox) -> None:
    first = await process_of(hostile)
    assert await process_of(hostile) == first
    assert await process_of(hostile) == first
    assert await process_of(hostile) != first
    await gone(first)


async def test_what_python_reads_wears_a_child_a_fiftieth_as_much(hostile: Sandbox) -> None:
    first = await process_of(hostile)
    assert await process_of(hostile) == first
    light = [await process_of(hostile, "in Python") for _ in range(LIGHT_DOCUMENTS)]
    assert light == [first] * LIGHT_DOCUMENTS
    assert await process_of(hostile, "in Python") != first
    await gone(first)


async def test_a_large_document_and_a_large_text_pass_through(hostile: Sandbox) -> None:
    text = "磨" * 1_000_000
    data = text.encode()
    parsed = await hostile.parse(
        pieces_of(data, 65_536), size_bytes=len(data), media_type=MediaType.TEXT, filename="a.txt"
    )
    assert text in parsed.text


@pytest.mark.parametrize("bomb", ["memory", "native memory"])
async def test_a_memory_bomb_is_a_resource_limit(hostile: Sandbox, bomb: str) -> None:
    with pytest.raises(ParseError, match="memory") as refused:
        await parse(hostile, bomb)
    assert refused.value.code is ParseErrorCode.RESOURCE_LIMIT
    assert (await parse(hostile, "after")).text.startswith("after")


@pytest.mark.parametrize(("bomb", "words"), [("spin", "of a processor"), ("sleep", "took longer")])
async def test_a_document_that_takes_for_ever_is_a_resource_limit(bomb: str, words: str) -> None:
    limits = ParseLimits(cpu_s=1, wall_s=60 if bomb == "spin" else 1)
    sandbox = Sandbox(SandboxSettings(children_max=1, limits=limits), script=HOSTILE)
    try:
        child = await process_of(sandbox)
        with pytest.raises(ParseError, match=words) as refused:
            await parse(sandbox, bomb)
        assert refused.value.code is ParseErrorCode.RESOURCE_LIMIT
        await gone(child)
        assert (await parse(sandbox, "after")).text.startswith("after")
    finally:
        await sandbox.close()


@pytest.mark.parametrize("crash", ["segfault", "exit", "raise"])
async def test_a_crash_is_told_from_a_refusal_and_the_next_document_gets_a_new_child(
    hostile: Sandbox, crash: str
) -> None:
    before = await process_of(hostile)
    with pytest.raises(ParserCrashed):
        await parse(hostile, crash)
    assert await process_of(hostile) != before
    await gone(before)


@pytest.mark.parametrize("misdeed", ["fork", "orphan"])
async def test_nothing_that_a_parser_bore_outlives_it(misdeed: str) -> None:
    limits = ParseLimits(cpu_s=1, wall_s=2)
    sandbox = Sandbox(SandboxSettings(children_max=1, limits=limits), script=HOSTILE)
    try:
        child = await process_of(sandbox)
        async with asyncio.timeout(10):
            with pytest.raises(ParseError) as refused:
                await parse(sandbox, misdeed)
            assert refused.value.code is ParseErrorCode.RESOURCE_LIMIT
            await wait_until(lambda: not any(map(is_alive, processes_in_sessions({child}))), "its children are gone")
            assert (await parse(sandbox, "after")).text.startswith("after")
    finally:
        await sandbox.close()


async def test_neighbours_of_a_crash_are_unharmed(hostile: Sandbox) -> None:
    crash, *neighbours = await asyncio.gather(
        parse(hostile, "segfault"), *(parse(hostile, f"neighbour {n}") for n in range(6)), return_exceptions=True
    )
    assert isinstance(crash, ParserCrashed)
    assert all(isinstance(one, ParsedText) for one in neighbours)


@pytest.mark.parametrize("habit", ["print", "noise"])
async def test_a_library_that_prints_breaks_nothing(hostile: Sandbox, habit: str) -> None:
    assert (await parse(hostile, habit)).text == "survived"


async def test_a_parser_cannot_write_files(hostile: Sandbox, tmp_path: Path) -> None:
    target = tmp_path / "written"
    with pytest.raises(ParserCrashed, match="OSError"):
        await parse(hostile, "write", filename=str(target))
    assert target.read_bytes() == b""


async def test_a_cancelled_parse_leaves_no_child_behind(hostile: Sandbox) -> None:
    child = await process_of(hostile)
    is_fed = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        yield b"sleep"
        is_fed.set()

    running = asyncio.create_task(hostile.parse(pieces(), size_bytes=5, media_type=MediaType.TEXT, filename="a.txt"))
    await is_fed.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await gone(child)


async def test_an_error_of_the_source_reaches_the_caller_and_ends_the_half_fed_child(hostile: Sandbox) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"half"
        raise ConnectionError("the store went away")

    child = await process_of(hostile)
    with pytest.raises(ConnectionError):
        await hostile.parse(broken(), size_bytes=8, media_type=MediaType.TEXT, filename="a.txt")
    await gone(child)


async def test_a_child_that_cannot_start_is_no_fault_of_the_document(tmp_path: Path) -> None:
    script = tmp_path / "broken.py"
    script.write_text("raise SystemExit('no parser here')", encoding="utf-8")
    sandbox = Sandbox(SandboxSettings(children_max=1), script=script)
    with pytest.raises(SandboxUnavailable, match="no parser here"):
        await parse(sandbox, "anything")


async def test_a_child_that_answers_with_nonsense_breaks_its_word_and_nothing_else(tmp_path: Path) -> None:
    script = tmp_path / "nested.py"
    nested = "b'\\x82\\xa4type\\xa5ready\\xa1x' + b'\\x91' * 100_000 + b'\\xc0'"
    say = "sys.stdout.buffer.write(len(said).to_bytes(4, 'big') + said)"
    script.write_text(f"import sys\nsaid = {nested}\n{say}\nsys.stdout.flush()\nsys.stdin.read()\n", encoding="utf-8")
    sandbox = Sandbox(SandboxSettings(children_max=1), script=script)
    with pytest.raises(SandboxUnavailable, match="an answer that is none"):
        await parse(sandbox, "anything")


async def test_no_secret_of_the_worker_is_in_a_childs_environment(
    hostile: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILLSTREAM_SECRET", "canary")
    child = await process_of(hostile)
    environment = await asyncio.to_thread(Path(f"/proc/{child}/environ").read_bytes)
    assert b"MALLOC_ARENA_MAX" in environment
    assert b"canary" not in environment


async def test_a_child_that_could_reach_the_network_is_not_used_unless_told_so(tmp_path: Path) -> None:
    script = tmp_path / "open.py"
    lines = ["import sys", f"sys.path.append({str(ROOT / 'src')!r})", "from processors import parse_child"]
    lines += ["parse_child.isolate = lambda: 'the kernel refuses'", "parse_child.main()"]
    script.write_text("\n".join(lines), encoding="utf-8")
    strict = Sandbox(SandboxSettings(children_max=1), script=script)
    with pytest.raises(SandboxUnavailable, match=r"the kernel refuses.*MILLSTREAM_ALLOW_UNSANDBOXED"):
        await parse(strict, "anything")
    lenient = Sandbox(SandboxSettings(children_max=1, may_reach_network=True), script=script)
    try:
        assert (await parse(lenient, "anything")).text == "anything"
    finally:
        await lenient.close()


@pytest.mark.parametrize("document", ["", "sleep", "spin"], ids=["idle", "asleep", "busy"])
def test_a_child_dies_with_its_parent(document: str) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", LITTLE_PARENT, str(HOSTILE), document],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )
    try:
        assert parent.stdout is not None
        with parent.stdout:
            child = int(parent.stdout.readline())
        with pytest.raises(TimeoutError):
            wait_for_exit(child, deadline_s=0)
    finally:
        parent.kill()
        parent.wait()
    wait_for_exit(child)
