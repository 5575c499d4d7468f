"""An error may cross a process border (parsers, replays): it arrives as it was, whichever of ours it is."""

import builtins
import inspect
import pickle
import re
import typing
from enum import Enum
from importlib import import_module
from types import NoneType, UnionType
from typing import Any

import msgspec
import pytest

from tests.source_modules import SRC, name_of

CLASS = re.compile(r"^ *class (\w+)\(([\w., \n]+)\):$", re.MULTILINE)
SAMPLES: dict[type, object] = {str: "text", int: 7, float: 1.5, bool: True, NoneType: None}
BUILT_IN = {name for name, value in vars(builtins).items() if inspect.isclass(value) and issubclass(value, Exception)}


def errors_of_ours() -> list[tuple[str, str]]:
    """Modules and names, by reading their heads alone: to import all of the program takes seconds, and to parse it half
    a second in every process of a run. What is private ends in its module."""
    bases = {
        (name_of(path), name): set(re.findall(r"\w+", above))
        for path in SRC.rglob("*.py")
        for name, above in CLASS.findall(path.read_text(encoding="utf-8"))
    }
    names, found = set(BUILT_IN), set[tuple[str, str]]()
    while more := {one for one, above in bases.items() if above & names} - found:
        found |= more
        names |= {name for _, name in more}
    return sorted(one for one in found if not one[1].startswith("_"))


ERRORS = errors_of_ours()


def sample_of(kind: Any) -> Any:
    """Some value of a type that an error is made from."""
    if kind in SAMPLES:
        return SAMPLES[kind]
    if isinstance(kind, UnionType) or typing.get_origin(kind) is typing.Union:
        return sample_of(typing.get_args(kind)[0])
    if typing.get_origin(kind) is tuple:
        return (sample_of(typing.get_args(kind)[0]),)
    if typing.get_origin(kind) is not None:
        return dict[str, str]()
    if issubclass(kind, Enum):
        return next(iter(kind))
    assert issubclass(kind, msgspec.Struct), f"how is a {kind} made?"
    hints = typing.get_type_hints(kind)
    return kind(**{name: sample_of(hints[name]) for name in kind.__struct_fields__})


def example_of(error: type[BaseException]) -> BaseException:
    if not inspect.isfunction(error.__init__):
        return error("text")
    hints = typing.get_type_hints(error.__init__)
    parameters = list(inspect.signature(error.__init__).parameters.values())[1:]
    named = {one.name: sample_of(hints[one.name]) for one in parameters if one.kind is one.KEYWORD_ONLY}
    return error(*(sample_of(hints[one.name]) for one in parameters if one.name not in named), **named)


@pytest.mark.parametrize(("module", "name"), ERRORS)
def test_an_error_arrives_in_another_process_as_it_was(module: str, name: str) -> None:
    error = getattr(import_module(module), name)
    sent = example_of(error)

    arrived = pickle.loads(pickle.dumps(sent))  # noqa: S301  our own bytes

    assert type(arrived) is error
    assert (str(arrived), arrived.args, vars(arrived)) == (str(sent), sent.args, vars(sent))


def test_errors_are_found_in_every_package_that_has_a_file_of_them() -> None:
    with_errors = {path.parent.name for path in SRC.glob("*/errors.py")}
    assert with_errors <= {module.partition(".")[0] for module, _ in ERRORS}
