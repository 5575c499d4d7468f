"""A module is imported without the rest of its package; whoever asks the package gets all of it."""

import importlib
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from knowledge.packages_on_demand import load_on_demand

Ran = Callable[[], int]


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ran]:
    """A package `library` to be imported; how often its `__init__` ran."""
    count = tmp_path / "ran"
    package = tmp_path / "library"
    package.mkdir()
    noted = f"import pathlib\nwith pathlib.Path({str(count)!r}).open('a') as ran:\n    ran.write('.')\n"
    names = "handler = None\nfrom library.heavy import Heavy\nfrom library.light import Light\n__all__ = ['Heavy']\n"
    (package / "__init__.py").write_text(noted + names)
    (package / "heavy.py").write_text("import library\nclass Heavy:\n    at_import = library.handler\n")
    (package / "light.py").write_text("class Light: ...\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield lambda: len(count.read_text()) if count.exists() else 0
    for name in [name for name in sys.modules if name.partition(".")[0] == "library"]:
        del sys.modules[name]


def test_a_module_is_imported_without_its_package(ran: Ran) -> None:
    load_on_demand("library")

    assert importlib.import_module("library.light").Light
    assert ran() == 0
    assert "library.heavy" not in sys.modules


def test_the_first_name_that_is_asked_for_brings_all_of_them_once(ran: Ran) -> None:
    load_on_demand("library")
    light = importlib.import_module("library.light")
    library = importlib.import_module("library")

    assert library.Heavy.__module__ == "library.heavy"
    assert library.Light is light.Light
    assert library.__all__ == ["Heavy"]
    assert ran() == 1


def test_a_name_that_is_known_brings_nothing(ran: Ran) -> None:
    load_on_demand("library", handler=None)

    assert importlib.import_module("library").handler is None
    assert ran() == 0


def test_a_name_that_the_package_does_not_have_is_an_attribute_error(ran: Ran) -> None:
    load_on_demand("library")

    with pytest.raises(AttributeError, match="module 'library' has no attribute 'nothing'"):
        _ = importlib.import_module("library").nothing


def test_who_asks_while_another_thread_loads_waits_until_all_is_there(ran: Ran, tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()
    sys.modules["gates_of_library"] = type(sys)("gates_of_library")
    sys.modules["gates_of_library"].__dict__.update(begun=begun, go_on=go_on)
    slow = "import gates_of_library as gates\ngates.begun.set()\nassert gates.go_on.wait(20)\n"
    (tmp_path / "library" / "heavy.py").write_text(slow + "class Heavy: ...\n")
    load_on_demand("library")
    library = importlib.import_module("library")
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(library.Heavy.__name__)) for _ in range(2)]

    threads[0].start()
    assert begun.wait(20)
    threads[1].start()
    go_on.set()
    for thread in threads:
        thread.join(20)

    del sys.modules["gates_of_library"]
    assert found == ["Heavy", "Heavy"]
    assert ran() == 1


def test_what_is_imported_already_or_not_there_is_left_alone(ran: Ran) -> None:
    before = importlib.import_module("library")

    load_on_demand("library")
    load_on_demand("library_that_nobody_has")

    assert sys.modules["library"] is before
    assert "library_that_nobody_has" not in sys.modules
