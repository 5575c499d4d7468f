"""The environment of the peers: apart from the product's, made by `make bench` from its own lock file."""

import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = Path(os.environ.get("BENCH_VENV", ROOT / ".venv-bench"))
PYTHON: Final = FOLDER / "bin" / "python"
NAMES: Final = ("arq", "celery", "dramatiq", "rq", "saq", "streaq", "taskiq", "taskiq-redis")

_TOLD: Final = (
    "import importlib.metadata as m, json, sys; print(json.dumps({name: m.version(name) for name in sys.argv[1:]}))"
)


@cache
def peer_versions() -> dict[str, str]:
    """Raises FileNotFoundError where the environment was not made."""
    done = subprocess.run([str(PYTHON), "-c", _TOLD, *NAMES], capture_output=True, check=True)
    return msgspec.json.decode(done.stdout, type=dict[str, str])
