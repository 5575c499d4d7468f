"""Facts leave the log of a running service, and nobody who asks can tell; a damaged archive is named."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from domain.status import DocumentPhase, TaskPhase
from millstream.client import Client
from millstream.client_archive import ArchiveCalls
from projections.routes_archive import Verified
from tests.e2e.api import Api
from tests.e2e.papers import text_of, word_of
from tests.servers.service_process import ServiceProcess, environment_with
from tests.waiting import poll

pytest_plugins = ("tests.servers.service",)

COMMAND_S_MAX = 90.0
DAMAGED = 4


class Ended(NamedTuple):
    """What a shell sees of a command."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        assert self.stdout, f"it said nothing: {self}"
        return json.loads(self.stdout)


def archive(service: ServiceProcess, *arguments: str) -> Ended:
    return command(service, "archive", *arguments)


def command(service: ServiceProcess, *arguments: str, **more: str) -> Ended:
    address = urlsplit(service.url)
    variables = {"MILLSTREAM_PORT": str(address.port), "MILLSTREAM_DATA_DIR": str(service.data_dir), **more}
    ended = subprocess.run(
        [sys.executable, "-m", "millstream", *arguments],
        env=environment_with(variables),
        cwd=service.data_dir.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=COMMAND_S_MAX,
    )
    assert "Traceback" not in ended.stderr
    return Ended(ended.returncode, ended.stdout, ended.stderr)


def segments_of(service: ServiceProcess) -> list[Path]:
    return sorted((service.data_dir / "blobs" / "archive").rglob("*.seg"))


def test_what_was_archived_is_answered_as_before_and_worked_on_again(own_service: ServiceProcess) -> None:
    own_service.start()
    with Api(own_service.url) as api:
        kb = api.create("archived")
        task = api.upload(kb, [(f"{n}.txt", text_of(n)) for n in (701, 702)])
        assert api.ended(task).status is TaskPhase.COMPLETED
        events = api.http.get(f"/tasks/{task}/events", params={"limit": 100}).json()

        done = archive(own_service, "now", "--trim", "--json")
        assert done.exit_code == 0, done.stderr
        archived = sum(one["events"] for one in done.json)
        assert archived == sum(one["trimmed"] for one in done.json) > 20
        listed = archive(own_service, "list", "--json").json
        assert sum(one["last_number"] - one["first_number"] + 1 for one in listed) == archived
        assert [own_service.data_dir / "blobs" / one["key"] for one in listed] == segments_of(own_service)
        verified = archive(own_service, "verify")
        assert (verified.exit_code, "sound" in verified.stdout) == (0, True), verified

        assert_it_is_told_over_http(own_service, archived)

        assert api.http.get(f"/tasks/{task}/events", params={"limit": 100}).json() == events
        assert_upkeep_knows_what_was_archived(own_service)
        later = api.upload(kb, [("703.txt", text_of(703))])
        assert api.ended(later).status is TaskPhase.COMPLETED
        assert [found.filename for found in api.search(kb, word_of(703))][:1] == ["703.txt"]
        document = api.documents(task)[0].document_id
        assert api.http.delete(f"/knowledge-bases/{kb}/documents/{document}").status_code == 202
        poll(lambda: api.document(kb, document).status is DocumentPhase.DELETED, "it is deleted", 30)


def assert_it_is_told_over_http(service: ServiceProcess, archived: int) -> None:
    """As the command said, and then by its own verification."""
    with Client(service.url) as client:
        calls = ArchiveCalls(client.http)
        found = calls.overview()
        assert (found.is_kept, found.events, found.segments) == (True, archived, len(segments_of(service)))
        assert all(one.verified is not None and one.verified.damages == 0 for one in found.partitions)
        assert [one.log_events for one in found.partitions if one.events] == [
            one.waiting_events for one in found.partitions if one.events
        ]
        *progress, end = calls.verify()
        assert end == Verified(partitions=len(found.partitions), events=archived, damages=0)
        assert len(progress) == found.segments
        assert calls.now().waiting_events == 0


def assert_upkeep_knows_what_was_archived(service: ServiceProcess) -> None:
    """Documents whose events have left the log are neither unknown nor lost."""
    stored = {path for path in (service.data_dir / "blobs").rglob("*") if path.is_file()}
    collected = command(service, "collect", "--json", MILLSTREAM_ORPHAN_GRACE_S="1").json["collected"]
    assert (collected["documents"], collected["orphans"], collected["left"]) == (2, 0, 0)
    assert collected["documents_unindexed"] == 0
    again = command(service, "reconcile", "--json", MILLSTREAM_RECONCILE_AGE_S="1").json
    assert (again["sidecars"], again["documents_accepted"]) == (2, 0)
    assert stored <= {path for path in (service.data_dir / "blobs").rglob("*") if path.is_file()}


def test_a_flipped_bit_is_named_and_ends_with_exit_code_4(own_service: ServiceProcess) -> None:
    own_service.start()
    with Api(own_service.url) as api:
        task = api.upload(api.create("damaged"), [("704.txt", text_of(704))])
        assert api.ended(task).status is TaskPhase.COMPLETED
    assert archive(own_service, "now").exit_code == 0
    segment = segments_of(own_service)[0]
    sound = segment.read_bytes()
    segment.write_bytes(sound[:-5] + bytes([sound[-5] ^ 16]) + sound[-4:])
    found = archive(own_service, "verify", "--json")
    assert found.exit_code == DAMAGED
    (damage,) = found.json["damages"]
    assert damage["segment"].endswith(segment.name)
    assert damage["offset"] < len(sound)
    assert damage["number"] == 1
    segment.unlink()
    told = archive(own_service, "verify")
    assert (told.exit_code, "it is missing" in told.stdout) == (DAMAGED, True)
