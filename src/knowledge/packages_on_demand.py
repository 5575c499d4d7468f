"""Packages whose `__init__` runs when somebody asks for a name of theirs, not when one of their modules is imported.

Python runs `package/__init__` before any `package.module`. Where that imports the whole library, a program that wants
one module of it pays for all: LlamaIndex brings SQLAlchemy for its sentence splitter.
"""

import importlib.util
import sys
import threading
from types import ModuleType
from typing import Any, Final

_running = threading.RLock()
"""One thread runs an `__init__`; who asks the package meanwhile waits until all its names are there."""

WAIT_S_MAX: Final = 60.0
"""For the other thread. It may wait for a module that this one is importing, which Python does not see: the name is
told to be missing, its import fails, and whoever wanted it tries again. LlamaIndex takes 1 to 3 s."""


def load_on_demand(package: str, **known: object) -> None:
    """From here on. `known` are names that are asked for all the time, with the values that `__init__` gives them.

    Nothing where the package is imported already, or is not there: who imports it is told so.
    """
    spec = None if package in sys.modules else importlib.util.find_spec(package)
    if spec is None:
        return
    module = importlib.util.module_from_spec(spec)
    module.__dict__.update(known)
    module.__class__ = _OnDemand
    sys.modules[package] = module
    parent, _, name = package.rpartition(".")
    if parent:
        setattr(sys.modules[parent], name, module)


class _OnDemand(ModuleType):
    """Turns into an ordinary module with the first name that it lacks."""

    def __getattr__(self, name: str) -> Any:
        if _running.acquire(timeout=WAIT_S_MAX):
            try:
                _run_init(self)
            finally:
                _running.release()
        try:
            return self.__dict__[name]
        except KeyError:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}", name=name, obj=self) from None


def _run_init(module: ModuleType) -> None:
    """A function, as a module that another thread has turned meanwhile has no methods of ours."""
    spec = module.__spec__
    if type(module) is not _OnDemand or spec is None or spec.loader is None or "__running__" in module.__dict__:
        return
    module.__dict__["__running__"] = True
    try:
        spec.loader.exec_module(module)
        object.__setattr__(module, "__class__", ModuleType)
    finally:
        del module.__dict__["__running__"]
