"""State machines run as tests: what is asserted are their rules and invariants."""

from collections.abc import Sequence
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test


def examples_driven(
    machine: type[RuleBasedStateMachine], *, examples_max: int, steps_max: int, phases: Sequence[Phase] = tuple(Phase)
) -> int:
    """How many examples went well from their beginning to their end. Raises what broke the shortest one."""
    ended: list[int] = []

    def teardown(self: Any) -> None:
        machine.teardown(self)
        ended.append(1)

    run_state_machine_as_test(
        type(machine.__name__, (machine,), {"teardown": teardown}),
        settings=settings(
            max_examples=examples_max,
            stateful_step_count=steps_max,
            deadline=None,
            phases=phases,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
    return len(ended)
