"""LanceDB, imported when it is first wanted (0.6 s), and by one thread at a time."""

import threading
from typing import Any

from knowledge.packages_on_demand import load_on_demand

_importing = threading.Lock()
"""Its modules import one another in a circle: a second thread would meet them half made."""

load_on_demand("lance_namespace_urllib3_client")
"""The client of a catalogue server, 0.5 s of the 1.1 s; LanceDB wants no more of it than the types of its requests."""


def import_lancedb() -> Any:
    """The package."""
    with _importing:
        import lancedb

    return lancedb


def import_match_query() -> Any:
    """The class of keyword queries; its own type information makes optional arguments mandatory."""
    with _importing:
        from lancedb.query import MatchQuery

    return MatchQuery
