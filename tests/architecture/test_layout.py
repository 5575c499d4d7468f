"""The listing is the architecture: ten packages, modules named after one idea, nothing behind the package names."""

import ast
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pytest

import events
from tests.source_modules import source_modules

ROOT: Final = Path(__file__).resolve().parents[2]
SOURCE: Final = ROOT / "src"
PACKAGES: Final = {
    *("blobs", "domain", "events", "ingest", "knowledge", "millstream", "outbound", "processors", "projections"),
    "webhooks",
}
VAGUE: Final = {"base", "common", "helper", "helpers", "manager", "managers", "misc", "util", "utils"}
LINES_MAX: Final = 300
"""A file that is longer has a second reason to be opened."""

GENERATED: Final = "*_pb2*.py"
MODULES: Final = sorted(path for path in SOURCE.rglob("*.py") if not path.match(GENERATED))


def test_there_are_ten_packages() -> None:
    assert {path.name for path in SOURCE.iterdir() if path.is_dir() and path.name.isidentifier()} == PACKAGES


def test_events_is_ours_and_not_the_package_of_that_name_on_the_index() -> None:
    assert events.__file__ is not None
    assert Path(events.__file__).resolve() == SOURCE / "events" / "__init__.py"


def test_every_folder_with_modules_is_a_package() -> None:
    assert [path for path in {module.parent for module in MODULES} if not (path / "__init__.py").is_file()] == []


@pytest.mark.parametrize("package", sorted(SOURCE.rglob("__init__.py")), ids=lambda path: path.parent.name)
def test_a_package_file_holds_a_docstring_and_nothing_else(package: Path) -> None:
    tree = ast.parse(package.read_text())

    assert ast.get_docstring(tree)
    assert len(tree.body) == 1, "what is imported here is imported by everybody, adapters too"


def test_a_module_opens_with_a_sentence_on_what_it_is_for() -> None:
    without = {module.path for module in source_modules() if not module.docstring}
    assert named(path for path in MODULES if path in without) == []


def test_a_module_is_named_after_an_idea() -> None:
    assert named(path for path in MODULES if VAGUE & words_of(path)) == []


def test_a_module_is_short_enough_to_be_read_at_once() -> None:
    assert named(path for path in MODULES if len(path.read_text().splitlines()) > LINES_MAX) == []


def named(paths: Iterable[Path]) -> list[str]:
    return [str(path.relative_to(SOURCE)) for path in paths]


def words_of(module: Path) -> set[str]:
    """A knowledge base is one word."""
    return set(module.stem.replace("knowledge_base", "").split("_"))


def test_tests_are_no_packages() -> None:
    assert list((ROOT / "tests").rglob("__init__.py")) == []
