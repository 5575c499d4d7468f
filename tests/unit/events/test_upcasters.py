"""Old facts are carried to the present one step at a time."""

import msgspec
import pytest

from events import codec
from events.codec import decode, encode
from events.codec_by_place import READERS, reader_of
from events.document import DocumentCancelled
from events.errors import CorruptEvent
from events.type_codes import EVENT_TYPES, TYPE_CODES
from events.upcasters import CURRENT_VERSIONS, EARLIER_FIELDS, UPCASTERS, Facts, current_version, reads_as_today, upcast
from tests.event_samples import envelope, new_document, new_task

VERSIONS = {"Renamed": 3}


def rename(facts: Facts) -> Facts:
    return {"title": facts["name"]}


def default(facts: Facts) -> Facts:
    return {**facts, "language": None}


STEPS = {("Renamed", 1): rename, ("Renamed", 2): default}


@pytest.mark.parametrize(
    ("version", "facts"), [(1, {"name": "a"}), (2, {"title": "a"}), (3, {"title": "a", "language": None})]
)
def test_every_old_version_arrives_at_the_current_one(version: int, facts: Facts) -> None:
    found = upcast("Renamed", version, facts, upcasters=STEPS, versions=VERSIONS)
    assert found == {"title": "a", "language": None}


def test_a_missing_step_is_loud() -> None:
    with pytest.raises(KeyError):
        upcast("Renamed", 1, {"name": "a"}, upcasters={}, versions=VERSIONS)


def test_a_type_that_never_changed_stands_at_its_first_version() -> None:
    assert current_version("DocumentParsed", {}) == 1


def test_no_version_below_the_current_one_lacks_its_step() -> None:
    assert set(CURRENT_VERSIONS) <= set(EVENT_TYPES)
    wanted = {(name, version) for name, current in CURRENT_VERSIONS.items() for version in range(1, current)}
    assert set(UPCASTERS) == wanted


def test_every_version_that_is_not_read_as_it_stands_says_in_which_order_its_fields_were() -> None:
    older = {(name, version) for name, current in CURRENT_VERSIONS.items() for version in range(1, current)}
    assert {key for key in older if not reads_as_today(*key)} == set(EARLIER_FIELDS)


def test_a_fact_of_an_older_form_is_read_as_todays(monkeypatch: pytest.MonkeyPatch) -> None:
    def step(facts: Facts) -> Facts:
        return {"reason": f"{facts['cause']} of {facts['task_id']}"}

    task = new_task()
    payload = encode(envelope(new_document(), 4, DocumentCancelled("?"), task=task))
    monkeypatch.setitem(CURRENT_VERSIONS, "DocumentCancelled", 2)
    monkeypatch.setitem(UPCASTERS, ("DocumentCancelled", 1), step)
    monkeypatch.setitem(EARLIER_FIELDS, ("DocumentCancelled", 1), ("cause", "task_id"))
    code = TYPE_CODES["DocumentCancelled"]
    monkeypatch.setattr(codec, "READERS", [*READERS[:code], reader_of("DocumentCancelled"), *READERS[code + 1 :]])
    frame = msgspec.msgpack.decode(payload)
    frame[3] = ["asked", None]
    assert decode(msgspec.msgpack.encode(frame)).event == DocumentCancelled(f"asked of {task}")
    frame[3] = ["asked", 5]
    with pytest.raises(CorruptEvent):
        decode(msgspec.msgpack.encode(frame))
