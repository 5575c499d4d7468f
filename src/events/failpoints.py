"""Failpoints: named places where a test lets a process die, stand still, fail or dawdle. Nothing happens unless armed.

`MILLSTREAM_FAILPOINTS` arms them, e.g. `worker.parsed=kill9; api.appended=raise@2; projector.folded=sleep:5`: place,
action, seconds where the action takes some, and after `@` at which passage of this process (default: the first). Each
rule fires once. With `MILLSTREAM_FAILPOINTS_DIR` that is once for all processes that share the directory, those that
are started in place of a killed one too, and the file `<place>` that appears there tells a test that it has fired.
"""

import enum
import os
import re
import signal
import time
from pathlib import Path
from typing import Final, assert_never

import msgspec


class Place(enum.Enum):
    """Every failpoint, in the order in which a document, then its events pass them."""

    API_ADMITTED = "api.admitted"
    API_MID_BODY = "api.mid_body"
    API_PIECE_STORED = "api.piece_stored"
    API_PIECE_RECORDED = "api.piece_recorded"
    API_PIECES_JOINED = "api.pieces_joined"
    API_STORED = "api.stored"
    API_BEFORE_APPEND = "api.before_append"
    API_APPENDED = "api.appended"
    API_BEFORE_RESPONSE = "api.before_response"
    WORKER_TAKEN = "worker.taken"
    WORKER_FETCHED = "worker.fetched"
    WORKER_PARSED = "worker.parsed"
    WORKER_CHUNKED = "worker.chunked"
    WORKER_BATCH_EMBEDDED = "worker.batch_embedded"
    WORKER_ROWS_WRITTEN = "worker.rows_written"
    WORKER_BEFORE_RESULT = "worker.before_result"
    WORKER_RESULT_APPENDED = "worker.result_appended"
    WORKER_ACKNOWLEDGED = "worker.acknowledged"
    PROJECTOR_FOLDED = "projector.folded"
    PROJECTOR_COMMITTED = "projector.committed"
    ARCHIVER_SEGMENT_STORED = "archiver.segment_stored"
    ARCHIVER_MANIFEST_STORED = "archiver.manifest_stored"
    ARCHIVER_BEFORE_TRIM = "archiver.before_trim"
    ARCHIVER_MID_TRIM = "archiver.mid_trim"
    DISPATCHER_READ = "dispatcher.read"
    SENDER_TAKEN = "sender.taken"
    SENDER_ANSWERED = "sender.answered"
    SENDER_RECORDED = "sender.recorded"
    COLLECTOR_LISTED = "collector.listed"
    COLLECTOR_DELETED = "collector.deleted"


class Action(enum.Enum):
    """What happens there. All but `raise` happen to the whole process."""

    KILL = "kill9"
    STOP = "stop"
    RAISE = "raise"
    SLEEP = "sleep"


class Rule(msgspec.Struct, frozen=True):
    """`seconds` is how long `sleep` holds up the event loop; `passage` counts from 1."""

    place: Place
    action: Action
    seconds: float
    passage: int


class FailpointReached(Exception):
    """What `raise` raises: an error that no code is prepared for."""


class UnknownFailpoint(ValueError):
    """A rule that cannot be read; the message says what may stand there."""


SECONDS_MAX: Final = 3_600.0
_RULE: Final = re.compile(
    r"(?P<place>[a-z._]+)=(?P<action>[a-z0-9]+)(?::(?P<seconds>\d+(\.\d+)?))?(?:@(?P<passage>\d+))?"
)


def parse_rules(text: str) -> tuple[Rule, ...]:
    """The rules of `place=action[:seconds][@passage]; …`. Raises UnknownFailpoint."""
    return tuple(_parse_rule(part.strip()) for part in text.split(";") if part.strip())


def _parse_rule(text: str) -> Rule:
    found = _RULE.fullmatch(text)
    if found is None:
        raise UnknownFailpoint(f"{text!r} is not place=action[:seconds][@passage]")
    try:
        place, action = Place(found["place"]), Action(found["action"])
    except ValueError:
        places, actions = ", ".join(one.value for one in Place), ", ".join(one.value for one in Action)
        raise UnknownFailpoint(f"{text!r}: places are {places}; actions are {actions}") from None
    seconds, passage = float(found["seconds"] or 0), int(found["passage"] or 1)
    if passage < 1 or seconds > SECONDS_MAX or (action is Action.SLEEP) != (seconds > 0):
        raise UnknownFailpoint(
            f"{text!r}: sleep, and nothing else, takes up to {SECONDS_MAX:g} s; passages count from 1"
        )
    return Rule(place, action, seconds, passage)


class Failpoints:
    """The rules of one process and how often each place was passed."""

    def __init__(self, rules: tuple[Rule, ...] = (), directory: Path | None = None) -> None:
        self._rules = rules
        self._directory = directory
        self._passages: dict[Place, int] = {}
        self._fired: set[Rule] = set()

    def reach(self, place: Place) -> None:
        """Counts the passage and does what a rule says. Raises FailpointReached."""
        if not self._rules:
            return
        passage = self._passages[place] = self._passages.get(place, 0) + 1
        for rule in self._rules:
            if rule.place is place and passage >= rule.passage and rule not in self._fired and self._claims(rule):
                self._fired.add(rule)
                _fire(rule)

    def _claims(self, rule: Rule) -> bool:
        """Whether no process has fired it yet."""
        if self._directory is None:
            return True
        try:
            (self._directory / rule.place.value).touch(exist_ok=False)
        except FileExistsError:
            self._fired.add(rule)
            return False
        return True


def _fire(rule: Rule) -> None:
    match rule.action:
        case Action.KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        case Action.STOP:
            os.kill(os.getpid(), signal.SIGSTOP)
        case Action.RAISE:
            raise FailpointReached(rule.place.value)
        case Action.SLEEP:
            time.sleep(rule.seconds)
        case _:
            assert_never(rule.action)


_armed = Failpoints()


def arm(failpoints: Failpoints) -> None:
    """Sets what this process's failpoints do from now on."""
    global _armed
    _armed = failpoints


def failpoint(place: Place) -> None:
    """A place where an armed process fails; 60 ns where nothing is armed."""
    _armed.reach(place)
