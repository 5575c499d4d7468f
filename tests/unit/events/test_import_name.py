"""Our package shares its import name with the PyPI package Events; ours must be the one that is found."""

from pathlib import Path

import events

ROOT = Path(__file__).resolve().parents[3]


def test_the_package_events_is_ours() -> None:
    assert events.__file__ is not None
    assert Path(events.__file__).resolve() == ROOT / "src" / "events" / "__init__.py"
