"""The proto and the code agree: stubs, phases, steps and the options of an upload."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
from hypothesis import given

from domain.status import DocumentPhase, DocumentStatus, TaskPhase, TaskStatus, WaitReason
from events.chunking import ChunkingSettings
from events.knowledge_base import ChunkerKind
from events.steps import Lane
from events.task import TaskSource
from ingest.options import OptionsBody
from ingest.problems import Rejected
from millstream.grpc.event_frames import EventFrame, frames_of
from millstream.grpc.messages import (
    chunking_of,
    document_of,
    document_phase,
    task_lane,
    task_of,
    task_phase,
    task_source,
    wait_reason,
)
from millstream.grpc.upload_form import options_of
from millstream.grpc.v1 import tasks_pb2 as pb
from tests.grpc_as_http import as_http, without_empty
from tests.strategies import structs

ROOT = Path(__file__).parents[3]


@pytest.fixture
def generator() -> ModuleType:
    spec = spec_from_file_location("proto_generate", ROOT / "proto" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_stubs_are_those_of_the_proto(generator: ModuleType, tmp_path: Path) -> None:
    generator.generate(tmp_path)

    different = [
        name for name in generator.NAMES if (tmp_path / name).read_bytes() != (generator.STUBS / name).read_bytes()
    ]
    assert different == [], "run `make proto`"


def test_every_phase_has_a_value_of_its_own() -> None:
    tasks = {pb.TaskPhase.Value(task_phase(phase)) for phase in TaskPhase}
    documents = {pb.DocumentPhase.Value(document_phase(phase)) for phase in DocumentPhase}

    assert tasks == set(pb.TaskPhase.values()) - {pb.TASK_PHASE_UNSPECIFIED}
    assert documents == set(pb.DocumentPhase.values()) - {pb.DOCUMENT_PHASE_UNSPECIFIED}


def test_every_source_lane_and_wait_has_a_value_of_its_own() -> None:
    sources = {pb.TaskSource.Value(task_source(source)) for source in TaskSource}
    lanes = {pb.Lane.Value(task_lane(lane)) for lane in Lane}
    reasons = {pb.WaitReason.Value(wait_reason(reason)) for reason in WaitReason}

    assert sources == set(pb.TaskSource.values()) - {pb.TASK_SOURCE_UNSPECIFIED}
    assert lanes == set(pb.Lane.values()) - {pb.LANE_UNSPECIFIED}
    assert reasons == set(pb.WaitReason.values()) - {pb.WAIT_REASON_UNSPECIFIED}


@given(structs(TaskStatus))
def test_a_task_has_what_http_shows_of_it(status: TaskStatus) -> None:
    assert as_http(task_of(status)) == http_of(status)


@given(structs(DocumentStatus))
def test_a_document_has_what_http_shows_of_it(status: DocumentStatus) -> None:
    assert as_http(document_of(status)) == http_of(status)


def test_what_a_document_is_cut_by_is_told_whole() -> None:
    settings = ChunkingSettings(
        chunker=ChunkerKind.PARENTS,
        chunk_tokens=64,
        chunk_overlap_tokens=8,
        chunk_parent_tokens=512,
        chunk_window_sentences=3,
        chunk_breakpoint_percentile=95,
    )
    told = pb.Document(chunking=chunking_of(settings))
    assert as_http(told)["chunking"] == msgspec.to_builtins(settings)


def http_of(status: TaskStatus | DocumentStatus) -> dict[str, Any]:
    """As the answer's JSON is read."""
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(status))
    return without_empty(found)


def test_options_have_the_names_that_http_knows() -> None:
    header = pb.TaskHeader(lane=pb.LANE_BULK, on_duplicate=pb.ON_DUPLICATE_KEEP, callback_url="https://example.org")
    header.metadata["pages"] = 3
    header.not_before.FromJsonString("2026-11-30T08:00:00Z")

    options = options_of(header)

    assert set(options) == set(OptionsBody.__struct_fields__)
    assert (options["metadata"], type(options["metadata"]["pages"])) == ({"pages": 3}, int)


def test_a_value_of_a_newer_proto_is_refused() -> None:
    newer = pb.TaskHeader.FromString(b"\x20\x63")  # lane = 99
    with pytest.raises(Rejected, match="no value 99"):
        options_of(newer)


async def test_events_are_read_whatever_pieces_they_come_in() -> None:
    sent = b'retry: 1000\n\nid: 3-1\nevent: status\ndata: {"a":1}\n\n: still here\n\nevent: end\ndata: {}\n\n'
    for size in (1, 7, len(sent)):

        async def pieces(size: int = size):  # type: ignore[no-untyped-def]
            for start in range(0, len(sent), size):
                yield sent[start : start + size]

        assert [frame async for frame in frames_of(pieces())] == [
            EventFrame("status", b'{"a":1}', "3-1"),
            EventFrame("end", b"{}"),
        ]
