"""Libraries without what they import only where it happens to be installed, and no role asks them for.

httpx has a command line (rich, Pygments), httpcore HTTP/2; structlog prints tracebacks by rich, and redis-py measures
itself by OpenTelemetry: a sixth of the processor time that a role takes to load, and 80 modules that it holds.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Final

OPTIONAL: Final = {
    "httpcore": ("h2",),
    "httpx": ("pygments", "rich"),
    "redis.asyncio": ("opentelemetry",),
    "structlog": ("rich",),
}


def import_lean(*libraries: str) -> None:
    """Before anything else of the process imports one of them; for one that is imported already, nothing."""
    for library in libraries:
        with missing(*OPTIONAL[library]):
            import_module(library)


@contextmanager
def missing(*packages: str) -> Iterator[None]:
    """An import in the block fails as if they were not installed. Those that are imported already stay."""
    hidden = [package for package in packages if package not in sys.modules]
    for package in hidden:
        sys.modules[package] = None  # type: ignore[assignment]  # an import that meets None fails
    try:
        yield
    finally:
        for package in hidden:
            del sys.modules[package]
