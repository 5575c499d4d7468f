"""The audit: what pip-audit says is believed only where it spoke of every package."""

import json
import re
from typing import Any

import pytest

from release.audit import LOCKS, ROOT, Verdict, applicable, judge
from release.licences import Unclear, licence_of

SOUND = {"name": "mill", "version": "1.0", "vulns": []}
FLAWED = SOUND | {"name": "stone", "vulns": [{"id": "PYSEC-2026-1", "fix_versions": ["1.1"], "aliases": []}]}
SKIPPED = {"name": "dust", "skip_reason": "Dependency not found on PyPI"}


def output(*dependencies: dict[str, Any]) -> str:
    return json.dumps({"dependencies": dependencies, "fixes": []})


def test_every_package_asked_about_and_nothing_found_is_clean_with_the_count() -> None:
    told = judge("runtime.txt", 2, 0, output(SOUND, SOUND), "")
    assert told.verdict is Verdict.CLEAN
    assert told.lines == ("runtime.txt: 2 packages audited, no advisory",)


def test_an_advisory_is_told_with_the_version_that_mends_it() -> None:
    told = judge("runtime.txt", 2, 1, output(SOUND, FLAWED), "")
    assert told.verdict is Verdict.VULNERABLE
    assert told.lines[1:] == ("stone 1.0: PYSEC-2026-1, fixed in 1.1",)


@pytest.mark.parametrize(
    ("exit_code", "out", "err", "reason"),
    [
        (1, "", "ERROR:pip_audit._cli:no route to host\n", "no route to host"),
        (1, "", "", "exit code 1"),
        (0, output(SOUND), "", "the auditor spoke of 1 packages"),
        (0, output(SOUND, SKIPPED), "", "dust: Dependency not found on PyPI"),
        (2, output(SOUND, SOUND), "", "pip-audit ended with 2"),
        (0, "[]", "", "exit code 0"),
        (0, "{}", "", "exit code 0"),
    ],
)
def test_anything_else_is_no_audit_and_says_so(exit_code: int, out: str, err: str, reason: str) -> None:
    told = judge("runtime.txt", 2, exit_code, out, err)
    assert told.verdict is Verdict.NOT_AUDITED
    assert told.lines[0].startswith("NOT AUDITED")
    assert reason in told.lines[0]


@pytest.mark.parametrize("lock", LOCKS)
def test_what_is_asked_about_are_the_pins_that_hold_here_with_their_hashes(lock: str) -> None:
    lines = applicable(lock).splitlines()
    for line in lines:
        assert re.fullmatch(r"[a-z0-9._-]+(\[[a-z,]+\])?==\S+( --hash=sha256:[0-9a-f]{64})+", line), line[:60]
    names = [line.split("==")[0] for line in lines]
    assert len(set(names)) == len(names)
    text = (ROOT / "requirements" / lock).read_text(encoding="utf-8")
    locked = set(re.findall(r"^([a-z0-9._-]+)(?:\[[a-z,]+\])?==", text, re.MULTILINE))
    assert {name.split("[")[0] for name in names} <= locked
    assert len(locked) - len(names) <= 5, "those of other platforms"


@pytest.mark.parametrize(
    ("expression", "text", "classifiers", "known"),
    [
        ("MIT OR Apache-2.0", None, [], "MIT OR Apache-2.0"),
        (None, "Apache 2.0", ["License :: OSI Approved :: Apache Software License"], "Apache-2.0"),
        (None, "BSD-3-Clause", [], "BSD-3-Clause"),
        (None, None, ["License :: OSI Approved :: MIT License"], "MIT"),
        (None, "MIT License\n\nCopyright (c) …", [], "MIT"),
    ],
)
def test_a_licence_is_told_by_its_spdx_name_however_the_package_says_it(
    expression: str | None, text: str | None, classifiers: list[str], known: str
) -> None:
    assert licence_of("mill", expression, text, classifiers) == (known, "")


@pytest.mark.parametrize(
    ("expression", "text", "classifiers"),
    [
        ("GPL-3.0-only", None, []),
        ("MIT AND AGPL-3.0-or-later", None, []),
        ("SSPL-1.0", None, []),
        (None, "LGPL", []),
        (None, None, ["License :: OSI Approved :: GNU General Public License v3 (GPLv3)"]),
        (None, "", []),
        (None, None, []),
    ],
)
def test_a_licence_that_nobody_has_judged_ends_with_an_error(
    expression: str | None, text: str | None, classifiers: list[str]
) -> None:
    with pytest.raises(Unclear, match="mill"):
        licence_of("mill", expression, text, classifiers)
