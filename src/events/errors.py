"""What can go wrong with the log, the inboxes and the codec; adapters translate their library's errors into these."""


class LogError(Exception):
    """Anything that the log or an inbox reports."""


class LogUnavailable(LogError):
    """The store did not answer in time or refused the connection; whether a write took effect is unknown.

    Repeating the same append (same event ids) is safe.
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


class HistoryArchived(VersionGap):
    """The first `archived_versions` events of the stream have left the log for the archive: read them there first."""

    def __init__(self, archived_versions: int) -> None:
        super().__init__(f"the first {archived_versions} events of the stream are in the archive alone")
        self.archived_versions = archived_versions
