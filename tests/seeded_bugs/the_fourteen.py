"""The fourteen bugs that the tests must catch, and which seeded bugs show it."""

from typing import Final

import msgspec

from tests.seeded_bugs.bug import SeededBug
from tests.seeded_bugs.bugs_of_borders import BUGS_OF_BORDERS
from tests.seeded_bugs.bugs_of_qdrant import BUGS_OF_QDRANT
from tests.seeded_bugs.bugs_of_work import BUGS_OF_WORK

BUGS: Final[tuple[SeededBug, ...]] = (*BUGS_OF_WORK, *BUGS_OF_BORDERS, *BUGS_OF_QDRANT)


class Listed(msgspec.Struct, frozen=True):
    """One of the fourteen, and the bugs of its kind."""

    what: str
    bugs: tuple[str, ...]


THE_FOURTEEN: Final = (
    Listed("XACK before index write", ("acknowledged-first",)),
    Listed("group recreated at $", ("group-from-now-on",)),
    Listed(
        "no fencing",
        (
            "no-fencing",
            "attempts-write-unfenced",
            "index-without-fences",
            "qdrant-rows-without-fences",
        ),
    ),
    Listed("retry of XADD without id", ("appended-at-any-version",)),
    Listed("event before S3 put", ("event-before-blob", "event-before-sidecar")),
    Listed("projector checkpoint before fold", ("checkpoint-before-rows",)),
    Listed("trim ignoring PEL", ("inboxes-outrun-by-trim", "pending-forgotten")),
    Listed("webhook follows redirects", ("webhook-redirects-followed", "redirects-followed")),
    Listed("SSRF check only at registration", ("address-checked-at-registration-alone", "host-trusted")),
    Listed(
        "tenant filter dropped from search",
        (
            "one-table-for-all",
            "filter-dropped",
            "qdrant-tenants-mixed",
            "qdrant-words-of-all",
        ),
    ),
    Listed("truncated multipart accepted", ("truncated-body-accepted",)),
    Listed("parse in-process", ("parsed-in-process",)),
    Listed("msgspec RecursionError uncaught", ("nesting-uncaught", "nested-body-uncaught")),
    Listed("log prints Authorization", ("headers-logged", "secrets-unmasked", "locals-printed")),
)
