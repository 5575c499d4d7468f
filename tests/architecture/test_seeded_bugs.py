"""The seeded bugs still fit the product: that each is caught is for `make seeded-bugs` to show, which takes minutes."""

import ast
from pathlib import Path
from typing import Final

import pytest

from tests.named_tests import is_test
from tests.seeded_bugs.bug import Edit, SeededBug, TextChanged, seeded_texts
from tests.seeded_bugs.the_fourteen import BUGS, THE_FOURTEEN

ROOT: Final = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_seeded_bug_changes_the_product_and_leaves_it_a_program(bug: SeededBug) -> None:
    for path, text in seeded_texts(ROOT, bug).items():
        assert path.is_relative_to(ROOT / "src")
        assert text != path.read_text(encoding="utf-8")
        if path.suffix == ".py":
            ast.parse(text)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_the_tests_that_must_catch_it_exist_and_say_why_they_fail(bug: SeededBug) -> None:
    assert bug.caught_by
    assert [catch.test for catch in bug.caught_by if not is_test(catch.test)] == []
    assert [catch.test for catch in bug.caught_by if not catch.because] == []


def test_each_of_the_fourteen_is_shown_by_a_bug_of_its_own() -> None:
    assert len(THE_FOURTEEN) == 14
    assert all(listed.bugs for listed in THE_FOURTEEN)
    assert sorted(name for listed in THE_FOURTEEN for name in listed.bugs) == sorted(bug.name for bug in BUGS)


@pytest.mark.parametrize("count", [0, 2])
def test_a_patch_whose_text_is_not_there_exactly_once_fails_loudly(tmp_path: Path, count: int) -> None:
    (tmp_path / "a.py").write_text("x = 1\n" * count, encoding="utf-8")
    bug = SeededBug(name="any", flaw="", edits=(Edit("a.py", "x = 1", "x = 2"),), caught_by=())
    with pytest.raises(TextChanged, match=f"has {count} times"):
        seeded_texts(tmp_path, bug)
