"""What a process logs, in either form, and nothing of it stays configured behind the test."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal

import structlog

from millstream.settings import Settings
from millstream.telemetry import configure_logging

Format = Literal["json", "console"]
FORMATS: Final[tuple[Format, ...]] = ("json", "console")


@contextmanager
def logged(form: Format) -> Iterator[io.StringIO]:
    """Everything that we and the libraries log meanwhile, down to the last detail."""
    configured, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logging(Settings(log_format=form, log_level="debug"), role="api", stream=stream)
    root.setLevel(logging.DEBUG)
    try:
        yield stream
    finally:
        structlog.configure(**configured)
        structlog.contextvars.clear_contextvars()
        root.handlers[:] = handlers
        root.setLevel(level)
