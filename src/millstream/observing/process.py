"""What the operating system says of this process."""

import importlib.metadata
import os
import resource
import time
from pathlib import Path
from typing import Final

from millstream.observing import catalogue
from millstream.observing.registry import Registry

_PROC: Final = Path("/proc/self")
"""Linux; elsewhere memory and open files are left out."""

_STARTED_S: Final = time.time()


def look_at_process(registry: Registry, *, role: str, name: str) -> None:
    """Puts the present figures of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    registry.set(catalogue.CPU, round(used.ru_utime + used.ru_stime, 3))
    registry.set(catalogue.STARTED, round(_STARTED_S, 3))
    registry.set(catalogue.BUILD, 1, importlib.metadata.version("millstream"), role, name)
    if _PROC.exists():
        pages = int((_PROC / "statm").read_text().split()[1])
        registry.set(catalogue.MEMORY, pages * os.sysconf("SC_PAGE_SIZE"))
        registry.set(catalogue.OPEN_FILES, len(list((_PROC / "fd").iterdir())))
