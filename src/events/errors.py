"""What can go wrong with the log, the inboxes and the codec; adapters translate their library's errors into these.

An error that crosses a process border is made again from its `args`: whatever has to be said to make it stays in them.
"""


class LogError(Exception):
    """Anything that the log or an inbox reports."""


class LogUnavailable(LogError):
    """The store did not answer in time or refused the connection; whether a write took effect is unknown.

    Repeating the same append (same event ids) is safe.
    """


class NotReplicated(LogUnavailable):
    """No replica of the store has it, and one has to (or the store takes no writes without one).

    Repeating the same append is safe, and counts once a replica has it.
    """


class LogFull(LogError):
    """The store refuses writes for want of memory or disk; nothing of the append took effect."""


class UnsafeConfiguration(LogError):
    """The store may lose facts (eviction on, persistence off, too old); the message says what to change."""


class FormatMismatch(LogError):
    """The stored format or number of partitions is not the one this program was started with."""


class InvalidAppend(LogError):
    """An append breaks the contract: no events, streams of several partitions, too many or too large events."""


class InvalidId(LogError, ValueError):
    """A text is not an id of the expected kind. Nothing was looked up."""


class CorruptEvent(LogError):
    """A payload is not an envelope, or its facts do not fit their type. Never skipped in a history."""


class VersionGap(LogError):
    """An event is not the next one of its stream; folding it would make a state that never was."""


class NewerFacts(LogError):
    """A stream holds facts of a known type in a newer form: what they changed is not known here, so nothing may be
    decided about the stream. The newer version of this program can."""


class HistoryArchived(VersionGap):
    """The first `archived_versions` events of the stream have left the log for the archive: read them there first.

    `last_entry_id` names the last of them.
    """

    def __init__(self, archived_versions: int, last_entry_id: str) -> None:
        super().__init__(archived_versions, last_entry_id)
        self.archived_versions = archived_versions
        self.last_entry_id = last_entry_id

    def __str__(self) -> str:
        return f"the first {self.archived_versions} events of the stream are in the archive alone"


class EntriesArchived(LogError):
    """Entries behind the place asked for have left the log for the archive, up to `last_entry_id`: read them there."""

    def __init__(self, last_entry_id: str) -> None:
        super().__init__(last_entry_id)
        self.last_entry_id = last_entry_id

    def __str__(self) -> str:
        return f"entries up to {self.last_entry_id} are in the archive alone"


class ArchiveRefused(LogError):
    """The archive cannot go on without losing or hiding a fact; the message says what stands in the way."""


class SegmentDamaged(LogError):
    """A segment of the archive is not what was written: `offset` in its blob, or `number` of the event, where known."""

    def __init__(self, segment: str, what: str, *, offset: int | None = None, number: int | None = None) -> None:
        super().__init__(segment, what)
        self.segment = segment
        self.what = what
        self.offset = offset
        self.number = number

    def __str__(self) -> str:
        at = "" if self.offset is None else f"@{self.offset}"
        event = "" if self.number is None else f" (event {self.number})"
        return f"{self.segment}{at}{event}: {self.what}"
