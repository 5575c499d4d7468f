"""A worker over gRPC as a test drives it: polls, reads sources, answers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from millstream.grpc.v1 import tasks_pb2 as pb
from tests.integration.grpc_world import GUARD_S, GrpcWorld, shown


class RemoteWorker:
    """One poll, under way. Its calls raise AioRpcError."""

    def __init__(self, world: GrpcWorld, key: str, deliveries: AsyncIterator[pb.Delivery]) -> None:
        self._world = world
        self._key = key
        self._metadata = shown(key)
        self._deliveries = deliveries

    def at(self, world: GrpcWorld) -> "RemoteWorker":
        """The same worker, answering through another API process."""
        return RemoteWorker(world, self._key, self._deliveries)

    async def next(self) -> pb.Delivery:
        async with asyncio.timeout(GUARD_S):
            return await anext(self._deliveries)

    async def source(self, lease: str) -> bytes:
        pieces = self._world.calls.ReadSource(pb.ReadSourceRequest(lease=lease), **self._call)
        return b"".join([piece.data async for piece in pieces])

    async def report(self, lease: str) -> None:
        await self._world.calls.ReportProgress(pb.ReportProgressRequest(lease=lease), **self._call)

    async def parsed(self, lease: str, *pages: str, numbers: range | list[int] | None = None, **more: Any) -> None:
        of_pages = [
            pb.PageText(number=number, text=text) for number, text in zip(numbers or range(1, 99), pages, strict=False)
        ]
        await self.complete(lease, parsed=pb.ParsedText(pages=of_pages, **more))

    async def embedded(self, lease: str, vectors: list[list[float]]) -> None:
        made = pb.Vectors(vectors=[pb.Vector(values=one) for one in vectors])
        await self.complete(lease, vectors=made)

    async def complete(self, lease: str, **result: Any) -> None:
        await self._world.calls.CompleteStep(pb.CompleteStepRequest(lease=lease, **result), **self._call)

    async def fail(self, lease: str, code: str, **more: Any) -> None:
        request = pb.FailStepRequest(lease=lease, code=code, message="as the test says", **more)
        await self._world.calls.FailStep(request, **self._call)

    @property
    def _call(self) -> dict[str, Any]:
        return {"metadata": self._metadata, "timeout": GUARD_S}


@asynccontextmanager
async def remote_worker(world: GrpcWorld, *steps: pb.Step, key: str | None = None, **asked: Any) -> AsyncIterator[Any]:
    """Polls as long as the body lasts; by default for `parse`, with one slot."""
    shown_key = world.write if key is None else key
    request = pb.PollStepsRequest(steps=steps or (pb.STEP_PARSE,), **{"worker": "remote", **asked})
    call = world.calls.PollSteps(request, metadata=shown(shown_key))
    try:
        yield RemoteWorker(world, shown_key, aiter(call))
    finally:
        call.cancel()


def vectors_of(embed: pb.EmbedWork) -> list[list[float]]:
    """A direction for each text."""
    return [[1.0 + (len(text) + place) % 7 for place in range(embed.dimensions)] for text in embed.texts]
