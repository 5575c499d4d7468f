"""API and worker on machines of their own, which share Redis and a bucket and no directory."""

from collections.abc import Iterator
from pathlib import Path

import boto3
import httpx
import pytest

from domain.status import DocumentPhase
from tests.e2e.api import Api
from tests.e2e.papers import text_of, word_of
from tests.faults.mill import API, PROJECTOR, Mill, Role
from tests.servers.s3_gateway import S3Server
from tests.waiting import poll

pytest_plugins = ("tests.servers.s3",)

WORKER, OTHER = "worker-1", "worker-2"


@pytest.fixture(scope="module")
def mill(s3_server: S3Server) -> Iterator[Mill]:
    variables = {
        "MILLSTREAM_BLOBS_URL": f"s3://{s3_server.bucket}/machines/blobs",
        "MILLSTREAM_INDEX_URL": f"s3://{s3_server.bucket}/machines/index",
        "MILLSTREAM_S3_ENDPOINT_URL": s3_server.endpoint_url,
        "MILLSTREAM_S3_ACCESS_KEY": s3_server.access_key,
        "MILLSTREAM_S3_SECRET_KEY": s3_server.secret_key,
    }
    with Mill(variables) as mill:
        mill.redis.start()
        for role, name in ((Role.API, API), (Role.WORKER, WORKER), (Role.PROJECTOR, PROJECTOR)):
            mill.data_dir = directory_of(mill, name)
            mill.start(role, name, waits=False)
        for name in (API, WORKER, PROJECTOR):
            mill.wait_ready(name)
        yield mill


@pytest.fixture
def api(mill: Mill) -> Iterator[Api]:
    with Api(mill.url) as api:
        yield api


def directory_of(mill: Mill, name: str) -> Path:
    return mill.directory / f"machine-of-{name}"


def index_of(server: S3Server) -> list[str]:
    """The names of what lies in the bucket of the index."""
    client = boto3.client(
        "s3",
        endpoint_url=server.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
    )
    try:
        found = client.list_objects_v2(Bucket=server.bucket, Prefix="machines/index/").get("Contents", ())
        return [one["Key"] for one in found]
    finally:
        client.close()


def finds(api: Api, kb: str, number: int) -> list[str]:
    """The files in which a document's own word is found, once the API can search."""
    poll(lambda: api.post_search(kb, "meal", mode="keyword").status_code == 200, "searches are answered", 60)
    return [passage.filename for passage in api.search(kb, word_of(number), mode="keyword", top_k=50)]


def test_what_one_machine_indexes_the_other_finds_and_what_is_deleted_is_gone(
    mill: Mill, api: Api, s3_server: S3Server
) -> None:
    kb = api.create("machines")
    first, second = api.completed(kb, [(f"{number}.txt", text_of(number)) for number in range(2)])
    for number in range(2):
        assert set(finds(api, kb, number)) == {f"{number}.txt"}
    assert api.http.delete(f"/knowledge-bases/{kb}/documents/{first.document_id}").is_success
    poll(lambda: finds(api, kb, 0) == [], "a deleted document is found no more")
    assert set(finds(api, kb, 1)) == {"1.txt"}
    assert api.document(kb, second.document_id).status is DocumentPhase.COMPLETED
    assert any(kb in name for name in index_of(s3_server))
    ready = httpx.get(f"{mill.url}/readyz").json()
    assert "Redis compares" in ready["index"]
    for name in (API, WORKER):
        assert "index_opened" in mill.log(name)
    assert api.http.delete(f"/knowledge-bases/{kb}").is_success
    poll(lambda: not [name for name in index_of(s3_server) if kb in name], "its table is gone from the bucket", 60)
    for name in (API, WORKER, PROJECTOR):
        directory = directory_of(mill, name)
        assert not directory.exists() or not list(directory.iterdir()), "nothing is kept on a machine"


def test_a_worker_killed_behind_its_commit_leaves_each_row_once(mill: Mill, api: Api) -> None:
    kb = api.create("killed")
    mill.terminate(WORKER)
    mill.data_dir = directory_of(mill, OTHER)
    mill.start(Role.WORKER, OTHER, failpoints="worker.rows_written=kill9")
    task = api.upload(kb, [("5.txt", text_of(5))])
    mill.wait_for_death(OTHER)
    mill.revive(WORKER)
    api.ended(task)
    (document,) = api.documents(task)
    assert document.status is DocumentPhase.COMPLETED, document.error
    found = api.search(kb, word_of(5), mode="keyword", top_k=50)
    texts = [passage.text for passage in found]
    assert texts
    assert len(texts) == len(set(texts))
