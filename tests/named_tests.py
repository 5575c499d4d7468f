"""Tests by their names (`path::test`, `path::Class::test`): whether there is such a test."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[1]

_FUNCTION: Final = re.compile(r"^(?:async )?def (\w+)\(", re.MULTILINE)
"""Of a module, not of a class."""

_Function = ast.FunctionDef | ast.AsyncFunctionDef


class _Class(NamedTuple):
    """The names of its functions, and of what it derives from."""

    functions: frozenset[str]
    bases: tuple[str, ...]


class _File(NamedTuple):
    """Its classes, and the file that a name comes from which it imports."""

    classes: dict[str, _Class]
    origins: dict[str, str]


def is_test(name: str) -> bool:
    """Whether a test has this name, without its parameters; a class has those of the contract that it keeps too."""
    path, *within = name.split("::")
    if not (ROOT / path).is_file() or not 1 <= len(within) <= 2 or not within[-1].startswith("test_"):
        return False
    if len(within) == 1:
        return within[0] in _functions_in(path)
    return any(within[1] in one.functions for one in _classes(path, within[0]))


def _classes(path: str, name: str) -> Iterator[_Class]:
    """The class and those of ours that it derives from."""
    file = _read(path)
    if name in file.classes:
        yield file.classes[name]
        for base in file.classes[name].bases:
            yield from _classes(file.origins.get(base, path), base)


@cache
def _functions_in(path: str) -> frozenset[str]:
    """By their lines: to parse every file that a page names takes a second."""
    return frozenset(_FUNCTION.findall((ROOT / path).read_text(encoding="utf-8")))


@cache
def _read(path: str) -> _File:
    """The names alone: the trees of every file of tests would be gone through by each collection of garbage."""
    text = (ROOT / path).read_text(encoding="utf-8") if (ROOT / path).is_file() else ""
    body = ast.parse(text).body
    return _File(
        classes={
            one.name: _Class(
                _functions_of(one.body), tuple(base.id for base in one.bases if isinstance(base, ast.Name))
            )
            for one in body
            if isinstance(one, ast.ClassDef)
        },
        origins={
            alias.asname or alias.name: f"{(one.module or '').replace('.', '/')}.py"
            for one in body
            if isinstance(one, ast.ImportFrom)
            for alias in one.names
        },
    )


def _functions_of(body: list[ast.stmt]) -> frozenset[str]:
    return frozenset(one.name for one in body if isinstance(one, _Function))
