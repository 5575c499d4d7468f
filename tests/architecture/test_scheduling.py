"""Files whose tests share servers are kept together in a parallel run."""

import ast
from pathlib import Path

import pytest

from tests.scheduling import SHARE_A_MILL, SHARE_A_SERVICE, last_of

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("folder", "fixture", "named"), [("e2e", "service", SHARE_A_SERVICE), ("faults", "mill", SHARE_A_MILL)]
)
def test_modules_that_ask_for_servers_of_the_session_are_kept_together(
    folder: str, fixture: str, named: frozenset[str]
) -> None:
    modules = (ROOT / "tests" / folder).glob("test_*.py")
    assert {module.relative_to(ROOT).as_posix() for module in modules if asks(module, fixture)} == named


def test_what_files_share_ends_behind_the_last_test_of_them(request: pytest.FixtureRequest) -> None:
    collected = request.session.items
    own = [item for item in collected if item.path == request.path]

    assert last_of(collected, {"tests/architecture/test_scheduling.py"}) == own[-1:]
    assert last_of(collected, {"tests/architecture/test_of_nobody.py"}) == []


def asks(module: Path, fixture: str) -> bool:
    """Whether a test or a fixture of the module takes this one, and the module makes none of its own."""
    parsed = ast.walk(ast.parse(module.read_text(encoding="utf-8")))
    functions = [node for node in parsed if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    called = [one for one in functions if one.name.startswith("test_") or "fixture" in map(name_of, one.decorator_list)]
    makes_one = any(one.name == fixture for one in functions)
    return not makes_one and any(argument.arg == fixture for one in called for argument in one.args.args)


def name_of(decorator: ast.expr) -> str:
    """`fixture` for `@pytest.fixture` and `@pytest.fixture(...)`."""
    target = decorator.func if isinstance(decorator, ast.Call) else decorator
    return target.attr if isinstance(target, ast.Attribute) else ""
