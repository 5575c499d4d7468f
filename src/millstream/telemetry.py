"""Structured logs: a JSON object a line, or lines for people at a terminal. Secrets never get through."""

import logging
import sys
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from millstream.settings import MASK, Settings

_SECRET_KEYS = frozenset({"authorization", "api_key", "openai_api_key", "s3_secret_key", "s3_access_key", "password"})


def configure_logging(settings: Settings, *, role: str, stream: TextIO | None = None) -> None:
    """Sets up structlog and the standard library's logging alike; called once per process, by its entry point."""
    out = stream or sys.stderr
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not out.isatty())
    renderer: Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if as_json
        # The default prints, where rich is installed, the variables of every frame, keys and texts among them.
        else structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    )
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _mask_secrets,
        *([structlog.processors.format_exc_info] if as_json else []),
    ]
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(out),
    )
    structlog.contextvars.bind_contextvars(role=role)
    _route_standard_logging(shared, renderer, out)


def _route_standard_logging(shared: list[Processor], renderer: Processor, out: TextIO) -> None:
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Libraries speak up at warnings only: uvicorn's line per request alone would be most of the log.
    root.setLevel(logging.WARNING)


def _mask_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {key: MASK if key.lower() in _SECRET_KEYS and value else value for key, value in event.items()}
