"""What can be wrong with a question to the views."""


class InvalidQuery(Exception):
    """A query parameter is unknown, repeated or out of its range; `pointer` names it (`/limit`)."""

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(pointer, message)
        self.pointer = pointer
        self.message = message

    def __str__(self) -> str:
        return f"{self.pointer}: {self.message}"


class InvalidCursor(Exception):
    """A cursor that was not given out by this installation for this very list."""


class TooManyStreams(Exception):
    """The process serves as many event streams as it may; another one, or the same a little later, has room."""


class ArchiveNotKept(Exception):
    """Nothing is archived by the settings of this installation."""


class VerifiedAlready(Exception):
    """This process is verifying the archive for somebody else."""


class RebuildRefused(Exception):
    """Another rebuild of the same partition is under way, or took over."""


class LogHasHole(RebuildRefused):
    """Events that were in the log are missing from it; the message says which."""


class GenerationIsLive(RebuildRefused, ValueError):
    """What was to be dropped is what readers see: another rebuild made it live a moment ago."""


class InvalidMoment(ValueError):
    """A text is neither a time nor a position; the message says what is expected."""
