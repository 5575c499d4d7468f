"""The least that accepts an upload: a bare Starlette server, without tasks, events, types, names or limits.

python bench/upload_peers.py disk DIRECTORY PORT    streams the form to a file, fsync, 202
python bench/upload_peers.py form BUCKET PORT       the usual way: request.form(), then one put_object of aioboto3
python bench/upload_peers.py floor DIRECTORY PORT   what a 202 of ours promises, in few lines and as fast as they go: a
                                                    digest, what is below, a line in Redis' log (REDIS_URL)
python bench/upload_peers.py floor-s3 BUCKET PORT   the same with one signed PUT past the SDK

What a 202 promises of bytes: they and a sidecar (what they are, from which a lost log is made again) last, in a place
of their own. What a client may send wrong, a floor does not ask.
"""

import asyncio
import hashlib
import os
import sys
from base64 import b64encode
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, NamedTuple

import aioboto3
import aiohttp
import msgspec
import uvicorn
from botocore.config import Config
from botocore.credentials import Credentials
from multipart import PushMultipartParser
from redis.asyncio import BlockingConnectionPool, Redis
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from blobs.s3_signature import PutSignature
from blobs.writeback import begin_writing

PATH = "/upload"
_numbers = count()


def disk_app(directory: Path) -> Starlette:
    async def upload(request: Request) -> Response:
        boundary = request.headers["content-type"].partition("boundary=")[2]
        parser, target = PushMultipartParser(boundary), directory / f"{os.getpid()}-{next(_numbers)}"
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT)
        try:
            async for piece in request.stream():
                for event in parser.parse(piece):
                    if isinstance(event, bytes | bytearray):
                        os.write(descriptor, event)
            await asyncio.to_thread(os.fsync, descriptor)
        finally:
            os.close(descriptor)
        return JSONResponse({"name": target.name}, 202)

    return Starlette(routes=[Route(PATH, upload, methods=["POST"])])


def form_app(bucket: str, s3: Any) -> Starlette:
    async def upload(request: Request) -> Response:
        async with request.form() as form:
            file = form["file"]
            assert isinstance(file, UploadFile)
            name = f"form/{os.getpid()}-{next(_numbers)}"
            await s3.put_object(Bucket=bucket, Key=name, Body=await file.read())
        return JSONResponse({"name": name}, 202)

    return Starlette(routes=[Route(PATH, upload, methods=["POST"])])


Pieces = list[bytes | bytearray]

Store = Callable[[str, Pieces, bytes, str], Awaitable[None]]
"""Keeps the bytes of a document under its name, and its sidecar; the digest (hex) is known."""


def floor_app(store: Store, redis: Redis) -> Starlette:
    async def upload(request: Request) -> Response:
        boundary = request.headers["content-type"].partition("boundary=")[2]
        parser, pieces, digest = PushMultipartParser(boundary), Pieces(), hashlib.sha256()
        async for piece in request.stream():
            for event in parser.parse(piece):
                if isinstance(event, bytes | bytearray):
                    digest.update(event)
                    pieces.append(event)
        name, sha256, size = f"{os.getpid()}-{next(_numbers)}", digest.hexdigest(), sum(map(len, pieces))
        said: dict[Any, Any] = {"name": name, "sha256": sha256, "size": size}
        await store(name, pieces, msgspec.json.encode(said), sha256)
        await redis.xadd("log", said)
        return JSONResponse({"name": name}, 202)

    return Starlette(routes=[Route(PATH, upload, methods=["POST"])])


class Stored(NamedTuple):
    """A document that waits for the disk."""

    name: str
    pieces: Pieces
    sidecar: bytes
    ended: "asyncio.Future[None]"


FLOOR_THREADS = 4
FLOOR_TOGETHER = 16
"""Documents that one thread makes last in one go."""


def into_directory(root: Path, loop: asyncio.AbstractEventLoop) -> Store:
    waiting: SimpleQueue[Stored] = SimpleQueue()

    def make_last(stored: list[Stored]) -> None:
        descriptors = []
        for one in stored:
            directory = f"{root}/{one.name}"
            os.mkdir(directory)  # noqa: PTH102
            for file, pieces in (("source", one.pieces), ("sidecar", [one.sidecar])):
                descriptors.append(os.open(f"{directory}/{file}", os.O_WRONLY | os.O_CREAT))
                os.writev(descriptors[-1], pieces)
                begin_writing(descriptors[-1])
            descriptors.append(os.open(directory, os.O_RDONLY))
        for descriptor in (*descriptors, os.open(root, os.O_RDONLY)):
            os.fsync(descriptor)
            os.close(descriptor)

    def tell(stored: list[Stored]) -> None:
        for one in stored:
            one.ended.set_result(None)

    def work() -> None:
        while True:
            stored = [waiting.get()]
            with suppress(Empty):
                while len(stored) < FLOOR_TOGETHER:
                    stored.append(waiting.get_nowait())
            make_last(stored)
            loop.call_soon_threadsafe(tell, stored)

    for _ in range(FLOOR_THREADS):
        Thread(target=work, daemon=True).start()

    async def store(name: str, pieces: Pieces, sidecar: bytes, _sha256: str) -> None:
        ended = loop.create_future()
        waiting.put(Stored(name, pieces, sidecar, ended))
        await ended

    return store


def into_bucket(bucket: str, session: aiohttp.ClientSession) -> Store:
    credentials = Credentials(os.environ["S3_ACCESS_KEY"], os.environ["S3_SECRET_KEY"])
    url = f"{os.environ['S3_ENDPOINT_URL']}/{bucket}/"
    signature = PutSignature(url, {}, region="us-east-1", signing_name="s3")

    async def store(name: str, pieces: Pieces, sidecar: bytes, sha256: str) -> None:
        key, metadata = f"floor/{name}/source", {"sha256": sha256, "sidecar": b64encode(sidecar).decode()}
        headers = signature.headers(key, metadata, credentials, datetime.now(UTC))
        async with session.put(url + key, data=b"".join(pieces), headers=headers) as answer:
            answer.raise_for_status()

    return store


async def serve(kind: str, where: str, port: int) -> None:
    async with AsyncExitStack() as stack:
        if kind == "disk":
            app = disk_app(Path(where))
        elif kind.startswith("floor"):
            session = await stack.enter_async_context(aiohttp.ClientSession())
            pool = BlockingConnectionPool.from_url(os.environ["REDIS_URL"], max_connections=20)
            loop = asyncio.get_running_loop()
            store = into_bucket(where, session) if kind == "floor-s3" else into_directory(Path(where), loop)
            app = floor_app(store, Redis(connection_pool=pool))
        else:
            client = aioboto3.Session().client(
                "s3",
                endpoint_url=os.environ["S3_ENDPOINT_URL"],
                region_name="us-east-1",
                aws_access_key_id=os.environ["S3_ACCESS_KEY"],
                aws_secret_access_key=os.environ["S3_SECRET_KEY"],
                config=Config(
                    max_pool_connections=100,
                    request_checksum_calculation="when_required",
                    response_checksum_validation="when_required",
                ),
            )
            app = form_app(where, await stack.enter_async_context(client))
        config = uvicorn.Config(app, port=port, log_config=None, access_log=False, lifespan="off")
        await uvicorn.Server(config).serve()


if __name__ == "__main__":
    import uvloop

    uvloop.run(serve(sys.argv[1], sys.argv[2], int(sys.argv[3])))
