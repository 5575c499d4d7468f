"""LanceDB, imported when it is first wanted (1.8 s), and by one thread at a time."""

import threading
from typing import Any

_importing = threading.Lock()
"""Its modules import one another in a circle: a second thread would meet them half made."""


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
