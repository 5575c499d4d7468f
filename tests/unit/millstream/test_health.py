"""What is said of a dependency that is not ready."""

import asyncio

import pytest

from millstream import health
from millstream.health import Trouble


async def fails() -> None:
    raise ConnectionError("refused")


async def is_silent() -> None:
    await asyncio.Event().wait()


async def answers() -> None: ...


async def test_why_a_dependency_is_not_ready_is_told_by_a_code_and_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "DEPENDENCY_S_MAX", 0.01)
    broken, silent, sound = [await health._dependency("redis", check) for check in (fails, is_silent, answers)]
    assert (broken.is_ready, broken.code, broken.detail) == (False, Trouble.FAILS, "refused")
    assert (silent.is_ready, silent.code) == (False, Trouble.NO_ANSWER)
    assert "no answer" in silent.detail
    assert (sound.is_ready, sound.code, sound.detail) == (True, None, "")
