"""How often Python looks for cycles that nobody holds."""

import gc
from importlib import import_module
from typing import Final

COLLECTED_AFTER: Final = (10_000, 20, 20)
"""Objects more than were freed, then rounds of the younger generation (Python's own: 700, 10, 10). What is freed as
soon as nobody holds it, which is nearly everything, does not count; 1,000 streams that open are 200,000 objects that
stay, and each look at all of them stops every stream for 30 ms and more. Of a fold of a million events such looks were
a tenth."""


def collect_seldom() -> None:
    """For a process that holds much, at its start: cycles are looked for seldom, and among what is new."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTED_AFTER)


def import_for_good(*modules: str) -> None:
    """Imports what stays until the process ends, out of sight of the garbage collector.

    It would walk through all of it again and again, a fifth of the time of these imports, and find nothing: hundreds of
    thousands of objects that later collections, in the middle of a request, need not visit either.
    """
    gc.disable()
    try:
        for module in modules:
            import_module(module)
        gc.freeze()
    finally:
        gc.enable()
