"""What the commands print, and where they find their server."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from millstream.client_url import default_url
from millstream.settings import ENVIRONMENT_PREFIX

F = TypeVar("F", bound=Callable[..., Any])


def as_json(value: object) -> str:
    """Indented JSON of structs, or of lists and dicts of them."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def server_url(command: F) -> F:
    """Adds `--url` (without it MILLSTREAM_URL, then host and port of the settings) and `--key-file`."""
    url = click.option("--url", default=default_url, help="Server; else MILLSTREAM_URL, else as configured.")
    key_file = click.option(
        "--key-file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        expose_value=False,
        is_eager=True,
        callback=_show_key,
        help="File that holds the API key; else MILLSTREAM_API_KEY.",
    )
    return url(key_file(command))


def _show_key(_context: click.Context, _parameter: click.Parameter, path: Path | None) -> None:
    """The key of a file becomes that of this process: every client in it shows the same."""
    if path is not None:
        os.environ[f"{ENVIRONMENT_PREFIX}API_KEY"] = path.read_text(encoding="utf-8", errors="replace").strip()
