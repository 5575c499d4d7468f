"""Where clients of this process find their server."""

import os

from millstream.settings import ENVIRONMENT_PREFIX, load_settings


def default_url() -> str:
    """MILLSTREAM_URL, else where a service started with the same settings listens."""
    named = os.environ.get(f"{ENVIRONMENT_PREFIX}URL")
    if named:
        return named
    settings = load_settings().settings
    host = "127.0.0.1" if settings.host in {"0.0.0.0", "::"} else settings.host  # noqa: S104  compared, not bound
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"
