"""The pool of parsers that the settings ask for: started, or the reason why not, and what it is able to do."""

import asyncio
from pathlib import Path

from knowledge import ocr
from knowledge.limits import Ocr, ParseLimits
from millstream.errors import ExitCode, Stop
from millstream.settings import Settings
from processors.parse_process import PARSE_CHILD
from processors.sandbox import Sandbox, SandboxSettings, SandboxUnavailable


def sandbox_settings(settings: Settings) -> SandboxSettings:
    """The part of the settings that is about parsing."""
    limits = ParseLimits(
        cpu_s=settings.parse_cpu_s_max,
        wall_s=settings.parse_wall_s_max,
        memory_bytes_max=settings.parse_memory_bytes_max,
        archive_entries_max=settings.archive_entries_max,
        archive_bytes_max=settings.archive_bytes_max,
        archive_depth_max=settings.archive_depth_max,
        ocr=Ocr(settings.ocr),
        ocr_page_s=settings.ocr_page_s_max,
        ocr_s=settings.ocr_s_max,
    )
    return SandboxSettings(
        children_max=settings.parse_processes, limits=limits, may_reach_network=settings.allow_unsandboxed
    )


async def warm_parsers(sandbox: Sandbox) -> None:
    """Raises Stop where no parser can be started, or none that is shut in and nobody allowed another."""
    try:
        await sandbox.warm()
    except SandboxUnavailable as error:
        raise Stop(
            str(error), hint="documents are parsed apart or not at all", exit_code=ExitCode.UNREACHABLE
        ) from None


async def check_parsers(settings: Settings, *, script: Path = PARSE_CHILD) -> str:
    """Starts a parser and says how it is shut in, and what reads scans. Raises Stop."""
    sandbox = Sandbox(sandbox_settings(settings), script=script)
    try:
        await warm_parsers(sandbox)
        open_because = sandbox.open_because
    finally:
        await sandbox.close()
    shut = f"allowed to reach the network ({open_because})" if open_because else "cut off from the network"
    return f"{shut}; scans: {await asyncio.to_thread(_reader_of_scans, settings)}"


def _reader_of_scans(settings: Settings) -> str:
    if settings.ocr == "off":
        return "off"
    return ocr.version() if ocr.languages() else "unread, tesseract is not installed"
