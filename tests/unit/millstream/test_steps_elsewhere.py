"""Which steps a worker serves, and what is said of a setting that would leave documents waiting for ever."""

import pytest

from events.steps import Step
from millstream.bootstrap import served_here
from millstream.errors import ExitCode, Stop
from millstream.settings import Settings

EVERY = frozenset(Step)


@pytest.mark.parametrize(
    ("elsewhere", "named", "served"),
    [
        ("", "", EVERY),
        ("parse", "", EVERY - {Step.PARSE}),
        (" parse, embed ", "", EVERY - {Step.PARSE, Step.EMBED}),
        ("parse", "parse,chunk", {Step.PARSE, Step.CHUNK}),
    ],
)
def test_a_worker_serves_what_it_was_told_or_all_that_is_not_left_to_others(
    elsewhere: str, named: str, served: frozenset[Step]
) -> None:
    assert served_here(Settings(steps_elsewhere=elsewhere), named) == served


@pytest.mark.parametrize(
    ("elsewhere", "named", "exit_code"),
    [
        ("parse,index", "", ExitCode.CONFIGURATION),
        ("grind", "", ExitCode.CONFIGURATION),
        ("parse,", "", ExitCode.CONFIGURATION),
        ("", "grind", ExitCode.USAGE),
        ("", ",", ExitCode.USAGE),
    ],
)
def test_a_step_that_nobody_would_take_is_refused_at_start(elsewhere: str, named: str, exit_code: ExitCode) -> None:
    with pytest.raises(Stop) as stopped:
        served_here(Settings(steps_elsewhere=elsewhere), named)
    assert stopped.value.exit_code is exit_code
    assert ("MILLSTREAM_STEPS_ELSEWHERE" in stopped.value.hint) == (exit_code is ExitCode.CONFIGURATION)
