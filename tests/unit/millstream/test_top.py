"""`millstream top`: what is shown of the flow."""

import io
from datetime import UTC, datetime

import msgspec
import pytest
from rich.console import Console

from events.replicas import Halted
from events.steps import Step
from millstream.flow_table import IN_ORDER, flow_shown
from projections.standing import Standing
from projections.system import StepFlow, SystemFlow
from projections.webhook_flow import WebhookFlow

PARSE = StepFlow(
    step=Step.PARSE,
    started=12,
    succeeded=1_234,
    retried=3,
    failed=1,
    ended_per_s=20.6,
    duration_p50_ms=181.0,
    duration_p95_ms=65_536.0,
    waiting=1_500,
    pending=4,
)
FLOW = SystemFlow(
    as_of=datetime(2026, 11, 30, 8, 0, tzinfo=UTC),
    window_s=90.0,
    events_per_s=123.4,
    lag_events=7,
    steps=(PARSE,),
    partitions=(),
    minutes=(),
    webhooks=WebhookFlow(enabled=1, disabled=0, pending=2, failed=5),
    standing=Standing(dead_letters=9, timers=6, workers=2),
)


def shown(flow: SystemFlow) -> str:
    out = io.StringIO()
    Console(file=out, width=120).print(*flow_shown(flow, "http://mill"), sep="\n")
    return out.getvalue()


def test_it_tells_the_flow_what_waits_and_who_works() -> None:
    text = shown(FLOW)
    for told in ("http://mill", "08:00:00 UTC", "events 123.4/s", "lag of the views 7", "workers 2", "dead letters 9"):
        assert told in text
    assert "webhooks 2 waiting, 5 failed" in text
    (line,) = [line.split() for line in text.splitlines() if line.startswith("parse")]
    assert line == ["parse", "1,500", "4", "20.6", "1,234", "3", "1", "181", "ms", "66", "s"]


def test_what_stands_still_for_want_of_a_replica_is_named() -> None:
    halted = Halted(server="10.0.0.1:7001", partitions=(0, 3))
    standing = Standing(dead_letters=0, timers=0, workers=2, halted=(halted,))
    text = " ".join(shown(msgspec.structs.replace(FLOW, standing=standing)).split())
    assert "too few replicas follow Redis 10.0.0.1:7001, so nothing new counts as kept in partitions 0, 3" in text
    assert "Start its replica" in text


def test_what_is_not_known_is_left_out() -> None:
    text = shown(msgspec.structs.replace(FLOW, standing=None, webhooks=None, steps=()))
    assert "workers" not in text
    assert "webhooks" not in text


@pytest.mark.parametrize("step", list(Step))
def test_every_step_has_its_place(step: Step) -> None:
    assert step in IN_ORDER
