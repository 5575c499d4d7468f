"""Tests by their names (`path::test`, `path::Class::test`): whether there is such a test."""

import ast
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]

_Function = ast.FunctionDef | ast.AsyncFunctionDef


def is_test(name: str) -> bool:
    """Whether a test has this name, without its parameters; a class has those of the contract that it keeps too."""
    path, *within = name.split("::")
    if not (ROOT / path).is_file() or not 1 <= len(within) <= 2 or not within[-1].startswith("test_"):
        return False
    tree = _parsed(path)
    if len(within) == 1:
        return _holds(tree.body, within[0])
    return any(_holds(one.body, within[1]) for one in _classes(path, within[0]))


def _holds(body: list[ast.stmt], test: str) -> bool:
    return any(isinstance(one, _Function) and one.name == test for one in body)


def _classes(path: str, name: str) -> list[ast.ClassDef]:
    """The class and those of ours that it derives from."""
    found = []
    for node in _parsed(path).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            found.append(node)
            for base in node.bases:
                if isinstance(base, ast.Name):
                    found += _classes(_origin_of(path, base.id), base.id)
    return found


def _origin_of(path: str, name: str) -> str:
    """The file that a name of this one is imported from; the file itself where it is not."""
    for node in _parsed(path).body:
        if isinstance(node, ast.ImportFrom) and any((alias.asname or alias.name) == name for alias in node.names):
            return f"{(node.module or '').replace('.', '/')}.py"
    return path


@cache
def _parsed(path: str) -> ast.Module:
    text = (ROOT / path).read_text(encoding="utf-8") if (ROOT / path).is_file() else ""
    return ast.parse(text)
