"""The least that accepts an upload: a bare Starlette server, without tasks, events, types, names or limits.

python bench/upload_peers.py disk DIRECTORY PORT    streams the form to a file, fsync, 202
python bench/upload_peers.py form BUCKET PORT       the usual way: request.form(), then one put_object of aioboto3
python bench/upload_peers.py floor DIRECTORY PORT   what a 202 of ours promises, in the fewest lines: a digest, a folder
                                                    of its own whose entries last, a line in Redis' log (REDIS_URL)
python bench/upload_peers.py floor-s3 BUCKET PORT   the same: digest, one signed PUT past the SDK, a line in Redis' log
"""

import asyncio
import hashlib
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path
from typing import Any

import aioboto3
import aiohttp
import uvicorn
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from multipart import PushMultipartParser
from redis.asyncio import BlockingConnectionPool, Redis
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

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


Store = Callable[[str, bytearray, str], Awaitable[None]]
"""Keeps the bytes of a document, whose digest (hex) is known."""


def floor_app(store: Store, redis: Redis) -> Starlette:
    async def upload(request: Request) -> Response:
        boundary = request.headers["content-type"].partition("boundary=")[2]
        parser, content, digest = PushMultipartParser(boundary), bytearray(), hashlib.sha256()
        async for piece in request.stream():
            for event in parser.parse(piece):
                if isinstance(event, bytes | bytearray):
                    digest.update(event)
                    content += event
        name, sha256 = f"{os.getpid()}-{next(_numbers)}", digest.hexdigest()
        await store(name, content, sha256)
        await redis.xadd("log", {"name": name, "sha256": sha256, "size": len(content)})
        return JSONResponse({"name": name}, 202)

    return Starlette(routes=[Route(PATH, upload, methods=["POST"])])


def into_directory(root: Path) -> Store:
    def write(name: str, content: bytearray) -> None:
        directory = root / name
        directory.mkdir()
        descriptor = os.open(directory / "source", os.O_WRONLY | os.O_CREAT)
        os.write(descriptor, content)
        os.fsync(descriptor)
        os.close(descriptor)
        for entries in (directory, root):
            descriptor = os.open(entries, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)

    async def store(name: str, content: bytearray, _sha256: str) -> None:
        await asyncio.to_thread(write, name, content)

    return store


def into_bucket(bucket: str, session: aiohttp.ClientSession) -> Store:
    credentials = Credentials(os.environ["S3_ACCESS_KEY"], os.environ["S3_SECRET_KEY"])

    async def store(name: str, content: bytearray, sha256: str) -> None:
        url = f"{os.environ['S3_ENDPOINT_URL']}/{bucket}/floor/{name}"
        request = AWSRequest("PUT", url, {"X-Amz-Content-SHA256": sha256})
        _Signature(credentials, "s3", "us-east-1", sha256).add_auth(request)
        async with session.put(url, data=memoryview(content), headers=dict(request.headers)) as answer:
            answer.raise_for_status()

    return store


class _Signature(S3SigV4Auth):  # type: ignore[misc]  # botocore publishes no types
    def __init__(self, credentials: Credentials, service: str, region: str, sha256: str) -> None:
        super().__init__(credentials, service, region)
        self._sha256 = sha256

    def payload(self, request: AWSRequest) -> str:  # noqa: ARG002
        return self._sha256


async def serve(kind: str, where: str, port: int) -> None:
    async with AsyncExitStack() as stack:
        if kind == "disk":
            app = disk_app(Path(where))
        elif kind.startswith("floor"):
            session = await stack.enter_async_context(aiohttp.ClientSession())
            pool = BlockingConnectionPool.from_url(os.environ["REDIS_URL"], max_connections=20)
            store = into_bucket(where, session) if kind == "floor-s3" else into_directory(Path(where))
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
