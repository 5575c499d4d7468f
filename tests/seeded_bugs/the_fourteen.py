"""The fourteen bugs that the tests must catch, and which seeded bugs show it."""

from typing import Final

import msgspec

from tests.seeded_bugs.bug import SeededBug
from tests.seeded_bugs.bugs_of_borders import BUGS_OF_BORDERS
from tests.seeded_bugs.bugs_of_work import BUGS_OF_WORK

BUGS: Final[tuple[SeededBug, ...]] = (*BUGS_OF_WORK, *BUGS_OF_BORDERS)


class Listed(msgspec.Struct, frozen=True):
    """One of the fourteen. Where the code that it would break is yet to come, `waits_for` names the issue that brings
    it, and the bugs are its nearest relatives among what there is."""

    what: str
    bugs: tuple[str, ...]
    waits_for: int | None = None


THE_FOURTEEN: Final = (
    Listed("XACK before index write", ("acknowledged-first",)),
    Listed("group recreated at $", ("group-from-now-on",)),
    Listed("no fencing", ("no-fencing", "attempts-write-unfenced", "index-without-fences")),
    Listed("retry of XADD without id", ("appended-at-any-version",)),
    Listed("event before S3 put", ("event-before-blob", "event-before-sidecar")),
    Listed("projector checkpoint before fold", ("checkpoint-before-rows",)),
    Listed("trim ignoring PEL", ("inboxes-outrun-by-trim", "pending-forgotten")),
    Listed("webhook follows redirects", ("redirects-followed",), waits_for=5),
    Listed("SSRF check only at registration", ("host-trusted",), waits_for=5),
    Listed("tenant filter dropped from search", ("one-table-for-all", "filter-dropped")),
    Listed("truncated multipart accepted", ("truncated-body-accepted",)),
    Listed("parse in-process", ("parsed-in-process",)),
    Listed("msgspec RecursionError uncaught", ("nesting-uncaught", "nested-body-uncaught")),
    Listed("log prints Authorization", ("headers-logged", "secrets-unmasked", "locals-printed")),
)
