"""The stream of SubmitTask as the form that an upload is: one way in, with all its limits and checks."""

import re
from collections.abc import AsyncIterator
from typing import Any, Final
from urllib.parse import quote

import msgspec
from google.protobuf.json_format import MessageToDict

from ingest.problems import ProblemCode, Rejected, invalid
from millstream.grpc.v1 import tasks_pb2 as pb

INTEGER_MAX: Final = 2.0**53
"""Struct holds doubles alone; up to here a whole one is the integer that was meant."""

_HEADER_VALUE: Final = re.compile(r"[\x20-\x7e]*")
_LANES: Final = {pb.LANE_INTERACTIVE: "interactive", pb.LANE_BULK: "bulk"}
_ON_DUPLICATE: Final = {
    pb.ON_DUPLICATE_SKIP: "skip",
    pb.ON_DUPLICATE_REPLACE: "replace",
    pb.ON_DUPLICATE_KEEP: "keep",
}


async def header_of(requests: AsyncIterator[pb.SubmitTaskRequest]) -> pb.TaskHeader:
    """The first message. Raises Rejected where it is another."""
    async for first in requests:
        if first.WhichOneof("part") == "header":
            return first.header
        break
    raise Rejected(ProblemCode.BAD_REQUEST, "The first message of SubmitTask is its header.")


async def form_of(
    header: pb.TaskHeader, requests: AsyncIterator[pb.SubmitTaskRequest], boundary: str
) -> AsyncIterator[bytes]:
    """The body of a multipart form, as the messages come. Raises Rejected."""
    yield _part(boundary, 'form-data; name="options"', "application/json") + msgspec.json.encode(options_of(header))
    has_file = False
    async for request in requests:
        match request.WhichOneof("part"):
            case "file":
                has_file = True
                yield b"\r\n" + _file_part(boundary, request.file)
            case "data" if has_file:
                yield request.data
            case "data":
                raise Rejected(ProblemCode.BAD_REQUEST, "Bytes come behind the head of the file that they are of.")
            case _:
                raise Rejected(ProblemCode.BAD_REQUEST, "Behind the header come files: the head of each, its bytes.")
    yield f"\r\n--{boundary}--\r\n".encode()


def options_of(header: pb.TaskHeader) -> dict[str, Any]:
    """The options of an upload over HTTP. Raises Rejected for a value of a newer proto."""
    options: dict[str, Any] = {}
    if header.HasField("metadata"):
        given = MessageToDict(header.metadata)
        options["metadata"] = {name: _whole(value) for name, value in given.items()}
    if header.lane:
        options["lane"] = _known(_LANES, header.lane, "/options/lane")
    if header.on_duplicate:
        options["on_duplicate"] = _known(_ON_DUPLICATE, header.on_duplicate, "/options/on_duplicate")
    if header.HasField("not_before"):
        options["not_before"] = _moment(header)
    if header.callback_url:
        options["callback_url"] = header.callback_url
    return options


def _moment(header: pb.TaskHeader) -> str:
    try:
        return header.not_before.ToJsonString()
    except ValueError as error:
        raise invalid("/options/not_before", "is no time between the years 1 and 9999") from error


def _known(names: dict[Any, str], value: int, pointer: str) -> str:
    if value not in names:
        raise invalid(pointer, f"has no value {value}")
    return names[value]


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) <= INTEGER_MAX else value


def _file_part(boundary: str, head: pb.FileHead) -> bytes:
    if not _HEADER_VALUE.fullmatch(head.media_type):
        raise invalid("/file/media_type", "is one line of ASCII")
    name = quote(head.filename, safe="")
    disposition = f'form-data; name="file"; filename="file"; filename*=UTF-8\'\'{name}'
    return _part(boundary, disposition, head.media_type)


def _part(boundary: str, disposition: str, media_type: str) -> bytes:
    declared = f"Content-Type: {media_type}\r\n" if media_type else ""
    return f"--{boundary}\r\nContent-Disposition: {disposition}\r\n{declared}\r\n".encode()
