"""The API with gRPC beside it, a projector and a worker, all in this process, on a real Redis; and its gRPC client."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import grpc
from grpc.aio import AioRpcError, Channel, Metadata

from millstream.bootstrap import running_projector, running_worker
from millstream.grpc.refusals import CODE
from millstream.grpc.v1 import tasks_pb2 as pb
from millstream.grpc.v1.tasks_pb2_grpc import TaskServiceStub
from millstream.settings import Settings
from millstream.warming import in_background
from tests.integration.keyed_app import KeyedApp, keyed_apps
from tests.waiting import wait_for

GUARD_S = 60
"""For calls that answer at once on a machine that is not busy."""


class GrpcWorld(NamedTuple):
    """`admin`, `write` and `read` are keys with that scope, `bound` may write to `own` alone. `others` lead to further
    API processes of the same installation."""

    app: KeyedApp
    channel: Channel
    others: list[Channel]
    admin: str
    write: str
    read: str
    bound: str
    own: str
    foreign: str

    @property
    def port(self) -> int:
        port: int = self.app.app.state.grpc_port
        return port

    @property
    def calls(self) -> Any:
        """Of the service's stub, which is generated without types."""
        return TaskServiceStub(self.channel)  # type: ignore[no-untyped-call]

    def at_other(self, number: int = 0) -> "GrpcWorld":
        """The same, seen through another API process."""
        return self._replace(channel=self.others[number])

    async def submit(self, key: str, *files: tuple[str, bytes], kb: str | None = None, **header: Any) -> Any:
        head = pb.TaskHeader(knowledge_base_id=kb or self.own, **header)
        return await self.calls.SubmitTask(parts_of(head, files), metadata=shown(key), timeout=GUARD_S)


@asynccontextmanager
async def grpc_world(
    url: str, data_dir: Path, *, steps: str, apis: int = 1, **settings: Any
) -> AsyncIterator[GrpcWorld]:
    """`steps` are those that the worker serves; empty is what the settings leave to it."""
    async with AsyncExitStack() as stack:
        apps = await stack.enter_async_context(keyed_apps(url, data_dir, apis, grpc_port=0, **settings))
        app, stop = apps[0], asyncio.Event()
        made = Settings(redis_url=url, data_dir=str(data_dir), embedding="hash", partitions=2, **settings)
        # Before the worker loads its libraries, which holds this process up for seconds.
        admin = await app.make_key()
        own, foreign = [await app.make_knowledge_base(admin, name) for name in ("own", "foreign")]
        write, read = [await app.make_key(admin, scopes=[scope]) for scope in ("write", "read")]
        bound = await app.make_key(admin, scopes=["write"], knowledge_bases=[own])
        await stack.enter_async_context(in_background(running_projector(made, stop)))
        await stack.enter_async_context(in_background(running_worker(made, stop, name="local", steps=steps)))
        stack.callback(stop.set)
        # While it loads them, a connection to Redis that is being made may run out of its time.
        await wait_for(partial(_has_worker, app, admin), "the worker is there", GUARD_S)
        for one in apps:
            await wait_for(partial(_knows_keys, one, 4), "every process has heard of the keys", GUARD_S)
        channel, *others = [
            await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{one.app.state.grpc_port}"))
            for one in apps
        ]
        yield GrpcWorld(
            app,
            channel,
            others,
            admin,
            write,
            read,
            bound,
            own,
            foreign,
        )


async def _knows_keys(app: KeyedApp, count: int) -> bool:
    """Until it has heard of one, whoever calls is nobody in particular, whatever key they show. Asked of what counts no
    wrong keys."""
    ready = await app.client.get(app.client.base_url.copy_with(path="/readyz"))
    return f"{count} keys valid" in ready.json()["door"]


async def _has_worker(app: KeyedApp, key: str) -> bool:
    answer = await app.call("GET", "/system", key)
    return answer.is_success and answer.json()["standing"]["workers"] > 0


def shown(key: str | None) -> Metadata:
    """The metadata of a call."""
    return Metadata() if key is None else Metadata(("authorization", f"Bearer {key}"))


async def parts_of(head: pb.TaskHeader, files: tuple[tuple[str, bytes], ...]) -> AsyncIterator[pb.SubmitTaskRequest]:
    yield pb.SubmitTaskRequest(header=head)
    for name, content in files:
        yield pb.SubmitTaskRequest(file=pb.FileHead(filename=name))
        middle = len(content) // 2
        for piece in (content[:middle], content[middle:]):
            yield pb.SubmitTaskRequest(data=piece)


def code_of(error: AioRpcError) -> tuple[grpc.StatusCode, str]:
    """The status, and the stable code of the problem."""
    return error.code(), str(dict(error.trailing_metadata()).get(CODE, ""))
