"""A task's stream over real HTTP: first the present state, then every step, at last the end, and never a gap."""

from collections.abc import Iterator

import httpx_sse
import msgspec
import pytest

from domain.status import DocumentPhase, DocumentStatus, TaskPhase, TaskStatus
from tests.e2e.api import Api, problem_code
from tests.e2e.papers import text_of
from tests.servers.service_process import ServiceProcess

pytest_plugins = ("tests.servers.service",)

FILES = [(f"report-{number}.txt", text_of(number)) for number in range(8)]


@pytest.fixture(scope="module")
def api(service: ServiceProcess) -> Iterator[Api]:
    with Api(service.url) as client:
        yield client


@pytest.fixture(scope="module")
def kb(api: Api) -> str:
    return api.create("streams")


@pytest.fixture(scope="module")
def story(api: Api, kb: str) -> list[httpx_sse.ServerSentEvent]:
    """Everything that a watcher is told who comes at once and stays to the end."""
    with api.stream(api.upload(kb, FILES)) as events:
        return list(events)


def statuses(events: list[httpx_sse.ServerSentEvent]) -> list[TaskStatus]:
    return [msgspec.json.decode(event.data, type=TaskStatus) for event in events if event.event == "status"]


def document_states(events: list[httpx_sse.ServerSentEvent]) -> dict[str, list[DocumentStatus]]:
    told: dict[str, list[DocumentStatus]] = {}
    for event in events:
        if event.event == "document":
            state = msgspec.json.decode(event.data, type=DocumentStatus)
            told.setdefault(state.document_id, []).append(state)
    return told


def test_the_first_event_is_the_present_state_and_the_last_is_the_end(story: list[httpx_sse.ServerSentEvent]) -> None:
    assert story[0].event == "status"
    assert [event.event for event in story].count("end") == 1
    assert story[-1].event == "end"
    assert {event.event for event in story} == {"status", "document", "end"}
    last = statuses(story)[-1]
    assert (last.status, last.progress) == (TaskPhase.COMPLETED, 1.0)


def test_every_document_is_told_of_from_start_to_end(story: list[httpx_sse.ServerSentEvent]) -> None:
    told = document_states(story)
    assert len(told) == len(FILES)
    for states in told.values():
        assert states[-1].status is DocumentPhase.COMPLETED
        assert states[-1].progress == 1.0


def test_progress_and_versions_only_rise(story: list[httpx_sse.ServerSentEvent]) -> None:
    stories: list[list[TaskStatus] | list[DocumentStatus]] = [statuses(story), *document_states(story).values()]
    for states in stories:
        progress = [state.progress for state in states]
        versions = [state.version for state in states]
        assert progress == sorted(progress)
        assert versions == sorted(versions)
        assert len({state.version: state for state in states}) == len(set(states_as_text(states)))


def states_as_text(states: list[TaskStatus] | list[DocumentStatus]) -> list[bytes]:
    return [msgspec.json.encode(state) for state in states]


def test_each_state_of_the_task_is_told_once(story: list[httpx_sse.ServerSentEvent]) -> None:
    versions = [state.version for state in statuses(story)]
    assert len(versions) == len(set(versions))


def test_get_answers_what_the_stream_said_last(api: Api, story: list[httpx_sse.ServerSentEvent]) -> None:
    last = [event for event in story if event.event == "status"][-1]
    task = msgspec.json.decode(last.data, type=TaskStatus)
    response = api.http.get(f"/tasks/{task.task_id}")
    assert response.text == last.data, "to the byte"
    by_id = {document.document_id: document for document in api.documents(task.task_id)}
    assert by_id == {document_id: states[-1] for document_id, states in document_states(story).items()}


def test_a_finished_task_tells_its_state_and_ends(api: Api, story: list[httpx_sse.ServerSentEvent]) -> None:
    task = statuses(story)[-1]
    with api.stream(task.task_id) as events:
        told = list(events)
    assert statuses(told) == [task]
    assert document_states(told) == {key: [states[-1]] for key, states in document_states(story).items()}
    assert told[-1].event == "end"


def test_a_watcher_that_was_cut_off_goes_on_without_a_gap(api: Api, kb: str) -> None:
    task_id = api.upload(kb, FILES)
    before: list[httpx_sse.ServerSentEvent] = []
    with api.stream(task_id) as events:
        for event in events:
            before.append(event)
            if event.id and len(document_states(before)) == len(FILES):
                break
    api.ended(task_id)
    with api.stream(task_id, last_event_id=before[-1].id) as events:
        after = list(events)
    assert after[-1].event == "end"
    assert statuses([*before, *after])[-1] == api.task(task_id)
    told, told_after = document_states(before), document_states(after)
    final = {document_id: (told_after.get(document_id) or told[document_id])[-1] for document_id in told}
    assert final == {document.document_id: document for document in api.documents(task_id)}
    for document_id, states in told_after.items():
        assert states[0].version >= told[document_id][-1].version


def test_who_knows_the_end_already_is_told_that_it_is_the_end(api: Api, story: list[httpx_sse.ServerSentEvent]) -> None:
    task = statuses(story)[-1]
    newest = [event.id for event in story if event.id][-1]
    with api.stream(task.task_id, last_event_id=newest) as events:
        assert [event.event for event in events] == ["end"]


@pytest.mark.parametrize("last_event_id", ["garbage", "99999999999999-0", "0-0", "1-1-1"])
def test_a_place_that_nobody_gave_out_starts_from_the_present_state(
    api: Api, story: list[httpx_sse.ServerSentEvent], last_event_id: str
) -> None:
    task = statuses(story)[-1]
    with api.stream(task.task_id, last_event_id=last_event_id) as events:
        told = list(events)
    assert statuses(told)[-1] == task
    assert told[-1].event == "end"


def test_the_stream_says_how_it_wants_to_be_treated(api: Api, story: list[httpx_sse.ServerSentEvent]) -> None:
    task = statuses(story)[-1]
    response = api.http.get(f"/tasks/{task.task_id}/stream")
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-accel-buffering"] == "no"
    assert response.text.startswith("retry: ")


def test_the_stream_of_an_unknown_task_is_a_problem(api: Api) -> None:
    assert problem_code(api.http.get("/tasks/nonsense/stream"))[0] == 404


def test_a_long_poll_answers_when_something_changes(api: Api, kb: str) -> None:
    task_id = api.upload(kb, FILES[:1])
    seen = [api.task(task_id)]
    while seen[-1].finished_at is None:
        response = api.http.get(
            f"/tasks/{task_id}", params={"wait": 10}, headers={"If-None-Match": f'"{seen[-1].version}"'}
        )
        assert response.status_code in {200, 304}
        if response.status_code == 200:
            seen.append(msgspec.json.decode(response.content, type=TaskStatus))
    assert seen[-1].status is TaskPhase.COMPLETED
    unchanged = api.http.get(f"/tasks/{task_id}", headers={"If-None-Match": f'"{seen[-1].version}"'})
    assert (unchanged.status_code, unchanged.content) == (304, b"")


def test_the_history_of_a_task_holds_every_fact_in_order(api: Api, story: list[httpx_sse.ServerSentEvent]) -> None:
    task = statuses(story)[-1]
    page = api.http.get(f"/tasks/{task.task_id}/events", params={"limit": 200}).json()
    assert page["total"] >= 1 + len(FILES)
    assert page["data"]
