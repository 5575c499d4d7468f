"""The least that accepts an upload: a bare Starlette server, without tasks, events, types, names or limits.

python bench/upload_peers.py disk DIRECTORY PORT    streams the form to a file, fsync, 202
python bench/upload_peers.py form BUCKET PORT       the usual way: request.form(), then one put_object of aioboto3
"""

import asyncio
import os
import sys
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path
from typing import Any

import aioboto3
import uvicorn
from botocore.config import Config
from multipart import PushMultipartParser
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


async def serve(kind: str, where: str, port: int) -> None:
    async with AsyncExitStack() as stack:
        if kind == "disk":
            app = disk_app(Path(where))
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
