"""Which tests of a parallel run go to one process: those of a file, and those of files that share a whole service.

A service takes nine seconds of processor time before it has done anything, and each process would start one of its own.
"""

from typing import Final

from xdist.scheduler import LoadFileScheduling

SHARE_A_SERVICE: Final = frozenset(
    f"tests/e2e/test_{name}.py"
    for name in ("bad_input", "command_line", "control", "knowledge_bases", "real_documents", "samples", "streams")
)
"""Those that ask for the session's `service`."""


class ByFileAndService(LoadFileScheduling):  # type: ignore[misc]  # pytest-xdist publishes no types
    """Takes the place of `--dist loadfile`."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return "the service" if file in SHARE_A_SERVICE else file
