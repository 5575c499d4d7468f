"""Files whose tests share a service are kept together in a parallel run."""

import ast
from pathlib import Path

from tests.scheduling import SHARE_A_SERVICE

ROOT = Path(__file__).resolve().parents[2]


def test_a_module_that_asks_for_the_service_of_the_session_is_kept_with_the_others() -> None:
    modules = (ROOT / "tests" / "e2e").glob("test_*.py")
    assert {module.relative_to(ROOT).as_posix() for module in modules if asks(module)} == SHARE_A_SERVICE


def asks(module: Path) -> bool:
    """Whether a test or a fixture of the module takes `service`, and the module makes none of its own."""
    parsed = ast.walk(ast.parse(module.read_text(encoding="utf-8")))
    functions = [node for node in parsed if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    called = [one for one in functions if one.name.startswith("test_") or "fixture" in map(name_of, one.decorator_list)]
    makes_one = any(one.name == "service" for one in functions)
    return not makes_one and any(argument.arg == "service" for one in called for argument in one.args.args)


def name_of(decorator: ast.expr) -> str:
    """`fixture` for `@pytest.fixture` and `@pytest.fixture(...)`."""
    target = decorator.func if isinstance(decorator, ast.Call) else decorator
    return target.attr if isinstance(target, ast.Attribute) else ""
