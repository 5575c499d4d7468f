"""What the commands print, and where they find their server."""

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click
import msgspec

from millstream.settings import ENVIRONMENT_PREFIX, load_settings

F = TypeVar("F", bound=Callable[..., Any])


def as_json(value: object) -> str:
    """Indented JSON of structs, or of lists and dicts of them."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def server_url(command: F) -> F:
    """Adds `--url`; without it MILLSTREAM_URL, then host and port of the settings."""
    option = click.option("--url", default=default_url, help="Server; else MILLSTREAM_URL, else as configured.")
    return option(command)


def default_url() -> str:
    """Where a service started with the same settings listens."""
    named = os.environ.get(f"{ENVIRONMENT_PREFIX}URL")
    if named:
        return named
    settings = load_settings().settings
    host = "127.0.0.1" if settings.host in {"0.0.0.0", "::"} else settings.host  # noqa: S104  compared, not bound
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"
