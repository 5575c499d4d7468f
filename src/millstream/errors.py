"""How a program of ours ends early: a line that says what to do, and an exit code for the kind of trouble."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What the shell sees. 78 is sysexits.h's EX_CONFIG."""

    DONE = 0
    FAILED_WORK = 1
    USAGE = 2
    UNREACHABLE = 3
    DAMAGED = 4
    CONFIGURATION = 78


class Stop(Exception):
    """Ends a command: `what` went wrong and `hint`, what to do about it. Never a traceback at a user."""

    def __init__(self, what: str, *, hint: str = "", exit_code: ExitCode = ExitCode.FAILED_WORK) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint
        self.exit_code = exit_code

    def __str__(self) -> str:
        return self.what
