"""The page has words of its own, in both languages, for every stable code and name that the service may send."""

import ast
import re
from collections.abc import Iterator
from enum import StrEnum
from functools import cache
from typing import Final

import pytest

from domain.access import Scope
from domain.document_phase import DocumentPhase
from domain.document_status import WaitReason
from domain.errors import RefusalCode
from domain.task_status import TaskPhase
from events.document import OnDuplicate
from events.knowledge_base import ChunkerKind
from events.steps import Lane, Step
from events.task import TaskSource
from events.type_codes import EVENT_TYPES
from ingest.problems import ProblemCode
from knowledge.errors import ParseErrorCode
from knowledge.search import SearchMode, SearchProfile
from millstream.admission.door import Standing
from millstream.health import Trouble, WarningCode
from millstream.page import FILES, PAGE
from outbound import errors as outbound_errors
from processors import failures
from processors.provider import WaitReason as ProviderWait
from processors.retry import OUTAGE_CODES
from tests.source_modules import SRC, source_modules
from webhooks.delivery import DeliveryState
from webhooks.subscription import DisabledReason

STATUS_OF_A_PROVIDER: Final = re.compile(r"provider_\d{3}")
"""Said by one message, with the number in it."""

PARTS: Final = ("processors", "knowledge", "outbound", "millstream")
"""Packages in which a step's failure may be made."""

FAILURES: Final = {"Retry", "Reject", "EmbeddingError", "OriginFails", "OriginRefuses", "ProviderError"}
"""What takes the code of a failure as its first argument, within the steps and what they call."""

FAILURE_MADE: Final = re.compile(rf"\b(?:{'|'.join(sorted(FAILURES))})\(")


@cache
def words_of(language: str) -> dict[str, str]:
    """What the dictionary says, with the codes that it takes in."""
    found: dict[str, str] = {}
    for name in (f"{language}_codes.js", f"{language}.js"):
        text = (PAGE / "i18n" / name).read_text(encoding="utf-8")
        found |= dict(re.findall(r'^  "([^"]+)": "(.*)",$', text, re.MULTILINE))
    return found


def test_both_languages_say_the_same_things() -> None:
    """Each name in both, but for what is said of exactly one; and the same values in them."""
    said = {language: words_of(language) for language in ("en", "zh")}
    english = {name: text for name, text in said["en"].items() if not name.endswith(".one")}
    assert set(english) == {name for name in said["zh"] if not name.endswith(".one")}
    values = re.compile(r"\{\w+\}")
    assert {
        name for name, text in english.items() if not set(values.findall(text)) <= set(values.findall(said["zh"][name]))
    } <= {"bases.documents", "bases.chunks"}


def test_english_says_one_of_what_it_counts() -> None:
    """A number in front of a plural is `n`, and the message has another form for exactly one."""
    said = words_of("en")
    counting = {name for name, text in said.items() if re.search(r"\{\w+\} (?:[a-z]+ )?[a-z]{3,}s\b", text)}
    never_one = {"archive.rule", "preview.sizes", "queue.each"}
    assert {name for name in counting - never_one if f"{name}.one" not in said} == set()


def test_every_message_that_is_shown_by_its_name_is_there() -> None:
    known = set(words_of("en"))
    used = {
        name
        for path in FILES.values()
        if path.suffix == ".js" and path.is_relative_to(PAGE)
        for name in re.findall(r"""\bt\("([\w.-]+)\"""", path.read_text(encoding="utf-8"))
    }
    assert used - known == set()


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("problem", ProblemCode),
        ("problem", RefusalCode),
        ("problem", ParseErrorCode),
        ("problem", ProviderWait),
        ("wait", WaitReason),
        ("status", TaskPhase),
        ("status", DocumentPhase),
        ("status", DeliveryState),
        ("step", Step),
        ("lane", Lane),
        ("source", TaskSource),
        ("duplicates", OnDuplicate),
        ("disabled", DisabledReason),
        ("scope", Scope),
        ("chunker", ChunkerKind),
        ("mode", SearchMode),
        ("profile", SearchProfile),
        ("health", Trouble),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_every_value_of_an_enumeration_has_words(kind: str, names: type[StrEnum]) -> None:
    assert [one.value for one in names if f"{kind}.{one.value}" not in words_of("zh")] == []
    assert [one.value for one in names if f"{kind}.{one.value}" not in words_of("en")] == []


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_way_the_door_stands_has_words(language: str) -> None:
    assert [one for one in Standing if f"health.door_{one}" not in words_of(language)] == []


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_warning_of_readyz_has_words(language: str) -> None:
    assert [one for one in WarningCode if f"health.warned_{one}" not in words_of(language)] == []


def test_every_fact_has_words() -> None:
    told_of_tasks = {name for name in EVENT_TYPES if not name.startswith(("KnowledgeBase", "Reindex", "Index"))}
    assert {name for name in told_of_tasks if f"fact.{name}" not in words_of("zh")} == set()


def test_every_code_of_a_failure_has_words() -> None:
    codes = set(codes_of_failures())
    assert {"blob_corrupt", "model_failed", "no_text", "object_missing", "time_limit"} <= codes, "the search finds them"
    wanted = {code for code in codes | OUTAGE_CODES if not STATUS_OF_A_PROVIDER.fullmatch(code)}
    wanted |= {value for name, value in vars(outbound_errors).items() if name.isupper()}
    wanted |= {value for name, value in vars(failures).items() if name.isupper() and isinstance(value, str)}
    assert {code for code in wanted if f"problem.{code}" not in words_of("zh")} == set()


def codes_of_failures() -> Iterator[str]:
    """Written where a failure is made, as they stand there or by the name of a constant of any module."""
    modules = [one for one in source_modules() if one.name.partition(".")[0] in PARTS]
    constants = {name: value for module in modules for name, value in module.constants.items()}
    for text in (module.path.read_text(encoding="utf-8") for module in modules):
        if not FAILURE_MADE.search(text):
            continue
        for node in ast.walk(ast.parse(text)):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in FAILURES
                and node.args
            ):
                match node.args[0]:
                    case ast.Constant(value=str(code)):
                        yield code
                    case ast.Name(id=name) if name in constants:
                        yield constants[name]


def test_every_dependency_that_health_names_has_advice() -> None:
    health = (SRC / "millstream" / "health.py").read_text(encoding="utf-8")
    names = re.findall(r'_dependency\("(\w+)"', health)
    assert {"redis", "blobs"} <= set(names)
    missing = [name for name in names if not {f"health.{name}", f"health.{name}_todo"} <= set(words_of("zh"))]
    assert missing == []
