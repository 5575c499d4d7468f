"""What stands in the modules of `src/`, for the checks that read all of them.

Each is parsed once a process, and only what is asked for is kept: a tree of every file is half a million objects, which
each full collection of garbage behind it would go through.
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

SRC: Final = Path(__file__).resolve().parents[1] / "src"


class Import(NamedTuple):
    """One import statement: by whom, of what."""

    module: str
    imported: str
    line: int

    def __str__(self) -> str:
        return f"{self.module} imports {self.imported} in line {self.line}"


class SourceModule(NamedTuple):
    """One file: its dotted name, what it says of itself, what it imports (`from . import a` is relative), and the
    texts that it gives a name with a type."""

    path: Path
    name: str
    docstring: str
    imports: tuple[Import, ...]
    has_relative_import: bool
    constants: dict[str, str]


@cache
def source_modules() -> tuple[SourceModule, ...]:
    """Every file under `src/`, in the order of their paths."""
    return tuple(_read(path) for path in sorted(SRC.rglob("*.py")))


def _read(path: Path) -> SourceModule:
    name, tree = name_of(path), ast.parse(path.read_text(encoding="utf-8"))
    from_others = [node for node in statements(tree.body) if isinstance(node, ast.ImportFrom)]
    return SourceModule(
        path=path,
        name=name,
        docstring=ast.get_docstring(tree) or "",
        imports=tuple(Import(name, imported, line) for imported, line in _names_imported(tree)),
        has_relative_import=any(node.level > 0 for node in from_others),
        constants=dict(_constants_of(tree)),
    )


def name_of(path: Path) -> str:
    """`events.codec` for `src/events/codec.py`."""
    return ".".join(path.relative_to(SRC).with_suffix("").parts)


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Those of blocks and functions too; expressions, which are nine tenths of a tree, are not gone through."""
    for node in body:
        yield node
        for block in (node, *getattr(node, "handlers", ()), *getattr(node, "cases", ())):
            for part in ("body", "orelse", "finalbody"):
                yield from statements(getattr(block, part, []))


def _names_imported(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Dotted names; `from a import b` gives `a` and `a.b`, since b may be a module."""
    for node in statements(tree.body):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module, node.lineno
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def _constants_of(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in tree.body:
        match node:
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.Constant(value=str(value))):
                yield name, value
            case _:
                continue
