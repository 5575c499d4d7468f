"""What a collection found and did."""

import msgspec


class Collected(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one collection; with `dry_run` nothing was deleted.

    `orphans` are blobs (`orphan_bytes` of them), by reason in `by_reason`. `left` are documents with sidecars whose
    knowledge base the log does not know: they stay, for somebody to look at. `foreign` are keys under `documents/`
    that no document of this installation has. `uploads_aborted` were in the making when their writers died.
    """

    dry_run: bool
    documents: int = 0
    blobs: int = 0
    orphans: int = 0
    orphan_bytes: int = 0
    by_reason: dict[str, int] = {}
    left: int = 0
    foreign: int = 0
    uploads_aborted: int = 0
    documents_unindexed: int = 0
    tables_dropped: int = 0
    tables_left: int = 0
    seconds: float = 0.0


class Tallied:
    """The figures while they grow."""

    def __init__(self, *, dry_run: bool) -> None:
        self.so_far = Collected(dry_run=dry_run)

    def add(self, **figures: int) -> None:
        grown = {name: getattr(self.so_far, name) + more for name, more in figures.items()}
        self.so_far = msgspec.structs.replace(self.so_far, **grown)

    def add_orphan(self, reason: str, size_bytes: int) -> None:
        by_reason = {**self.so_far.by_reason, reason: self.so_far.by_reason.get(reason, 0) + 1}
        self.so_far = msgspec.structs.replace(self.so_far, by_reason=by_reason)
        self.add(orphans=1, orphan_bytes=size_bytes)

    def done(self, seconds: float) -> Collected:
        return msgspec.structs.replace(self.so_far, seconds=round(seconds, 3))
