"""The sidecar of an import: lies among the blobs as JSON, and says all that its events say.

    requests/<task>@<nonce>.json

It is stored before the events are appended. So an import whose events a log has lost can be asked for again from the
blob store alone, under the same ids. Once the log's facts have come to the archive nobody needs it any more.
"""

import re
from typing import Final

import msgspec

from domain.commands import RequestDocument, SubmitTask
from events.ids import TaskId

REQUESTS: Final = "requests/"
FORMAT: Final = 1

_KEY: Final = re.compile(rf"{REQUESTS}(task_[0-9a-f]{{34}})@[0-9a-f]+\.json")


class RequestSidecar(msgspec.Struct, frozen=True, kw_only=True):
    """One import; `requests` in the order of its documents."""

    format: int
    task_id: TaskId
    actor: str
    submit: SubmitTask
    requests: tuple[RequestDocument, ...]


_decoder = msgspec.json.Decoder(RequestSidecar)


def request_sidecar_key(task: TaskId, nonce: str) -> str:
    """The nonce keeps a repeated request from overwriting what was accepted."""
    return f"{REQUESTS}{task}@{nonce}.json"


def task_of_request_sidecar(key: str) -> TaskId | None:
    """The task of which this sidecar speaks; None for a key of anything else."""
    found = _KEY.fullmatch(key)
    return None if found is None else TaskId(found[1])


def encode_request_sidecar(sidecar: RequestSidecar) -> bytes:
    return msgspec.json.encode(sidecar)


def decode_request_sidecar(key: str, content: bytes) -> RequestSidecar | None:
    """None for bytes that are no sidecar of this key: cut off, of a newer format, or another task's."""
    try:
        sidecar = _decoder.decode(content)
    except (msgspec.ValidationError, msgspec.DecodeError, RecursionError):
        return None
    is_ours = sidecar.format <= FORMAT and sidecar.task_id == task_of_request_sidecar(key)
    return sidecar if is_ours and len(sidecar.requests) == sidecar.submit.documents else None
