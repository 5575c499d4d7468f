"""What a document of ours is promised, in the fewest lines: an API process, workers with a child each, one Redis.

    python -m bench.pipeline_floor api FOLDER PORT            takes files over HTTP, REDIS_URL says where the log is
    python -m bench.pipeline_floor worker EMBEDDING FOLDER    says `ready` once it is warm
    python -m bench.pipeline_floor child                      reads texts: frames of a length and bytes on stdin, stdout

A 202 says that each file is on the disk (synced, in a folder that is) and has a line in Redis' log (`appendfsync
always`). A worker takes up to 16 of these lines, has their files read by its child, splits, embeds, commits all to
one table of the index, and writes a line for each: the document can be searched. Nothing else is there: no types,
limits, tenants, views, histories, artifacts, retries, fences or takeovers; who asks for a task is answered from memory.
"""

import asyncio
import hashlib
import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any, Final

import msgspec
import uvicorn
import uvloop
from multipart import MultipartSegment, PushMultipartParser
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bench.pipeline_loop import EMBEDDINGS, INDEXED_TOGETHER, Parts
from knowledge.index import IndexRow, IndexTable
from knowledge.limits import ParseLimits
from knowledge.media_type import MediaType
from knowledge.parsers import parse
from knowledge.text import ParsedText

ACCEPTED: Final = "accepted"
RESULTS: Final = "results"
GROUP: Final = "workers"
TABLE: Final = IndexTable("floor", 1)
LENGTH_BYTES: Final = 4
WAIT_MS: Final = 1_000

Lines = Sequence[tuple[bytes, Mapping[bytes, bytes]]]


class Api:
    """Takes requests of several files, and knows how many of them are not searchable yet."""

    def __init__(self, folder: Path, redis: Redis) -> None:
        self._folder = folder
        self._redis = redis
        self._numbers = count()
        self._left: Counter[str] = Counter()
        self._ended: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def accept(self, request: Request) -> Response:
        boundary = request.headers["content-type"].partition("boundary=")[2]
        parser, files = PushMultipartParser(boundary), dict[str, bytearray]()
        async for piece in request.stream():
            for event in parser.parse(piece):
                if isinstance(event, MultipartSegment):
                    name = event.filename or ""
                    files[name] = bytearray()
                elif event is not None:
                    files[name] += event
        task = f"{os.getpid()}-{next(self._numbers)}"
        await asyncio.to_thread(_store, self._folder / task, files)
        self._left[task] = len(files)
        async with self._redis.pipeline(transaction=False) as pipeline:
            for name, content in files.items():
                digest = hashlib.sha256(content).hexdigest()
                pipeline.xadd(ACCEPTED, {"task": task, "name": name, "sha256": digest})
            await pipeline.execute()
        return JSONResponse({"task": task}, 202)

    async def wait(self, request: Request) -> Response:
        task = request.path_params["task"]
        await self._ended[task].wait()
        return JSONResponse({"left": self._left[task]})

    async def follow(self) -> None:
        place = b"0"
        while True:
            found: Any = await self._redis.xread({RESULTS: place}, block=WAIT_MS)
            for _, lines in found:
                place = lines[-1][0]
                for _, fields in lines:
                    task = fields[b"task"].decode()
                    self._left[task] -= 1
                    if not self._left[task]:
                        self._ended[task].set()


def _store(folder: Path, files: Mapping[str, bytearray]) -> None:
    folder.mkdir()
    for name, content in files.items():
        with (folder / name).open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    for directory in (folder, folder.parent):
        descriptor = os.open(directory, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


async def serve(folder: Path, port: int) -> None:
    api = Api(folder, Redis.from_url(os.environ["REDIS_URL"]))
    routes = [Route("/documents", api.accept, methods=["POST"]), Route("/tasks/{task}", api.wait)]
    config = uvicorn.Config(Starlette(routes=routes), port=port, log_config=None, access_log=False, lifespan="off")
    following = asyncio.create_task(api.follow())
    await uvicorn.Server(config).serve()
    following.cancel()


class Worker:
    """Carries lines of the log out, sixteen at a time."""

    def __init__(self, embedding: str, folder: Path) -> None:
        self._folder = folder
        self._parts = Parts(EMBEDDINGS[embedding].model, folder / "index")
        command = [sys.executable, "-m", "bench.pipeline_floor", "child"]
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    async def run(self, redis: Redis) -> None:
        await self._warm_up()
        print("ready", flush=True)
        name = str(os.getpid())
        while True:
            taken: Any = await redis.xreadgroup(GROUP, name, {ACCEPTED: ">"}, count=INDEXED_TOGETHER, block=WAIT_MS)
            for _, lines in taken:
                await self._carry_out(lines)
                async with redis.pipeline(transaction=False) as pipeline:
                    for line, fields in lines:
                        pipeline.xadd(RESULTS, {"task": fields[b"task"], "name": fields[b"name"]})
                        pipeline.xack(ACCEPTED, GROUP, line)
                    await pipeline.execute()

    async def _carry_out(self, lines: Lines) -> None:
        made: dict[str, list[IndexRow]] = {}
        for line, fields in lines:
            name = fields[b"name"].decode()
            content = (self._folder / fields[b"task"].decode() / name).read_bytes()
            assert hashlib.sha256(content).hexdigest() == fields[b"sha256"].decode(), name
            document = f"doc_{line.decode()}"
            made[document] = await self._parts.rows(document, name, self._read(content))
        await self._parts.store(TABLE, made)

    async def _warm_up(self) -> None:
        parsed = self._read(b"A warm worker. It has loaded all that it needs.")
        rows = await self._parts.rows("warm", "warm.txt", parsed)
        await self._parts.store(IndexTable(f"warm{os.getpid()}", 1), {"warm": rows})

    def _read(self, content: bytes) -> ParsedText:
        stdin, stdout = self._child.stdin, self._child.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(len(content).to_bytes(LENGTH_BYTES, "big") + content)
        stdin.flush()
        return msgspec.msgpack.decode(stdout.read(int.from_bytes(stdout.read(LENGTH_BYTES), "big")), type=ParsedText)


async def work(embedding: str, folder: Path) -> None:
    await Worker(embedding, folder).run(Redis.from_url(os.environ["REDIS_URL"]))


def read_texts() -> None:
    stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
    while length := stdin.read(LENGTH_BYTES):
        content = stdin.read(int.from_bytes(length, "big"))
        answer = msgspec.msgpack.encode(parse(content, MediaType.TEXT, "text.txt", ParseLimits()))
        stdout.write(len(answer).to_bytes(LENGTH_BYTES, "big") + answer)
        stdout.flush()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["api", folder, port]:
            uvloop.run(serve(Path(folder), int(port)))
        case ["worker", embedding, folder]:
            uvloop.run(work(embedding, Path(folder)))
        case ["child"]:
            read_texts()
        case other:
            sys.exit(f"unknown: {other}")
