"""Every setting with default, range and meaning: `python -m release.settings_page` writes docs/settings.md."""

from pathlib import Path
from typing import Final

from millstream.setting_ranges import range_of
from millstream.settings import Settings, description_of

PAGE: Final = Path(__file__).resolve().parents[1] / "docs" / "settings.md"

HEAD: Final = """# Settings

Every setting, as the code has it (`python -m release.settings_page` writes this page). Each is the variable
`MILLSTREAM_…`, or the same name in small letters in `millstream.toml`; what is out of its range is refused at start,
all of it at once. `millstream settings` prints those of a process, with where each came from. What a client is told who
goes beyond a limit is in [limits.md](limits.md).

| setting | default | range | meaning |
|---|---|---|---|
"""


def page() -> str:
    """The text of the page, in the order of `millstream settings`: some are told of with those above or below."""
    return HEAD + "".join(f"{row(name)}\n" for name in Settings.__struct_fields__)


def row(name: str) -> str:
    """A row of the table."""
    return f"| `{name.upper()}` | {_default(name)} | {range_of(name)} | {description_of(name).replace('|', '/')} |"


def _default(name: str) -> str:
    value = getattr(Settings(), name)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    return f"`{value}`" if value not in ("", None) else ""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
