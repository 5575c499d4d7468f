"""`make audit`: every locked requirement compared with published advisories, or told plainly that it was not.

pip-audit runs in an environment of its own (requirements/audit.txt) with `--strict`, on the pins and hashes of the lock
files, so nothing is resolved or installed. What it says is believed only if it speaks of as many packages as there are
pins: an auditor that skips in silence is worse than none.

Exit codes: 0 nothing found, 1 vulnerable, 3 not audited.
"""

import json
import subprocess
import sys
from enum import IntEnum
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[1]
LOCKS: Final = ("runtime.txt", "qdrant.txt", "build.txt")
"""What a user installs. What checks and tests need never reaches one."""

AUDIT_S_MAX: Final = 600


class Verdict(IntEnum):
    """The exit code."""

    CLEAN = 0
    VULNERABLE = 1
    NOT_AUDITED = 3


class Told(NamedTuple):
    """A verdict and the lines that say it."""

    verdict: Verdict
    lines: tuple[str, ...]


def judge(lock: str, pins: int, exit_code: int, output: str, errors: str) -> Told:
    """What a run of pip-audit says of `pins` packages. Anything but a full list of them is no audit."""
    try:
        found = json.loads(output)["dependencies"]
    except (json.JSONDecodeError, KeyError, TypeError):
        reason = errors.strip().splitlines()[-1] if errors.strip() else f"exit code {exit_code}"
        return Told(Verdict.NOT_AUDITED, (f"NOT AUDITED: {lock}, {pins} packages: {reason}",))
    skipped = [f"{one['name']}: {one['skip_reason']}" for one in found if "skip_reason" in one]
    if skipped or len(found) != pins:
        reason = skipped[0] if skipped else f"the auditor spoke of {len(found)} packages"
        return Told(Verdict.NOT_AUDITED, (f"NOT AUDITED: {lock}, {pins} packages: {reason}",))
    lines = [
        f"{one['name']} {one['version']}: {flaw['id']}, fixed in {', '.join(flaw['fix_versions']) or 'nothing yet'}"
        for one in found
        for flaw in one["vulns"]
    ]
    if lines:
        return Told(Verdict.VULNERABLE, (f"{lock}: {len(lines)} advisories for {pins} packages", *lines))
    if exit_code != 0:
        return Told(Verdict.NOT_AUDITED, (f"NOT AUDITED: {lock}: pip-audit ended with {exit_code}",))
    return Told(Verdict.CLEAN, (f"{lock}: {pins} packages audited, no advisory",))


def applicable(lock: str) -> str:
    """The pins of a lock that hold on this platform and Python, with their hashes, as text of a requirements file."""
    from packaging.requirements import Requirement

    kept = []
    for line in (ROOT / "requirements" / lock).read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        pin, *hashes = line.split(" --hash=")
        if pin.strip() and not pin.startswith("#"):
            marker = Requirement(pin.strip()).marker
            if marker is None or marker.evaluate():
                kept.append(" --hash=".join([pin.split(";")[0].strip(), *(one.strip() for one in hashes)]))
    return "\n".join(kept) + "\n"


def audit(lock: str, folder: Path) -> Told:
    """Asks pip-audit."""
    wanted = folder / lock
    wanted.write_text(applicable(lock), encoding="utf-8")
    pins = len(wanted.read_text(encoding="utf-8").splitlines())
    command = ["pip-audit", "--strict", "--require-hashes", "--disable-pip", "--progress-spinner", "off"]
    command += ["--format", "json", "--requirement", str(wanted)]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=AUDIT_S_MAX)
    except subprocess.TimeoutExpired:
        return Told(Verdict.NOT_AUDITED, (f"NOT AUDITED: {lock}: no answer within {AUDIT_S_MAX} s",))
    return judge(lock, pins, ended.returncode, ended.stdout, ended.stderr)


def main() -> int:
    """The worst verdict of all locks."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        told = [audit(lock, Path(folder)) for lock in LOCKS]
    for one in told:
        print("\n".join(one.lines))
    return max(one.verdict for one in told)


if __name__ == "__main__":
    sys.exit(main())
