"""Which tests of a parallel run go to one process: those of a file, and those of files that share servers; and which of
them is the last, behind which the servers end.

A service takes five seconds of processor time before it has done anything; each process would start one of its own.
"""

from collections.abc import Collection, Iterable
from typing import Final

import pytest
from xdist.scheduler import LoadFileScheduling

SHARE_A_SERVICE: Final = frozenset(
    f"tests/e2e/test_{name}.py"
    for name in (
        "adapters",
        "bad_input",
        "command_line",
        "control",
        "knowledge_bases",
        "mcp",
        "real_documents",
        "samples",
        "searches",
        "streams",
    )
)
"""Those that ask for the session's `service`."""

SHARE_A_MILL: Final = frozenset(
    f"tests/faults/test_{name}.py" for name in ("clients_hang_up", "random_kills", "redis_restarts")
)
"""Those that ask for the session's `mill`."""

SHARE_THE_PAGE: Final = "tests/browser/"
"""Every file there asks for one mill."""


def last_of(items: Iterable[pytest.Item], files: Collection[str]) -> list[pytest.Item]:
    """The last test of these files, or none: pytest ends a fixture of the session with the session, and what it started
    would share the processors with thousands of tests that do not need it."""
    return [item for item in items if item.nodeid.partition("::")[0] in files][-1:]


class ByFileAndServers(LoadFileScheduling):  # type: ignore[misc]  # pytest-xdist publishes no types
    """Takes the place of `--dist loadfile`."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        if file in SHARE_A_SERVICE:
            return "the service"
        if file.startswith(SHARE_THE_PAGE):
            return "the page"
        return "the mill" if file in SHARE_A_MILL else file
