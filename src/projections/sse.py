"""Changes as server-sent events (WHATWG HTML, section 9.2).

`id` is the place in the change feed. It stands on the last event of a group alone: a client that was cut off within a
group gets the group again. A finished task ends with `event: end`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from domain.errors import Refused
from events.errors import LogUnavailable
from projections.changes import Subscription
from projections.feed import FeedPosition
from projections.watching import Group, Story, Subject, Watch

RETRY_MS: Final = 1_000
"""How long a client is asked to wait before it connects again."""

HEADERS: Final = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}


def encode_group(group: Group) -> bytes:
    if not group.frames:
        return b": still here\n\n"
    parts = [b"event: %b\ndata: %b\n\n" % (frame.event.encode(), frame.data) for frame in group.frames]
    if group.position is not None:
        parts[-1] = b"id: %b\n" % str(group.position).encode() + parts[-1]
    if group.is_end:
        parts.append(b"event: end\ndata: {}\n\n")
    return b"".join(parts)


class EventStream(Response):
    """One open stream. Raises TooManyStreams, Refused and InvalidId before the first byte is sent."""

    def __init__(self, watch: Watch, subject: Subject, resume_from: FeedPosition | None) -> None:
        super().__init__(headers=HEADERS)
        del self.headers["content-length"]
        self._watch = watch
        self._subject = subject
        self._resume_from = resume_from

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._watch.tailer.watching(self._subject.topic) as subscription:
            story = Story(self._watch, self._subject, subscription)
            async with aclosing(story.groups(self._resume_from)) as groups:
                first = await anext(groups)
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                if scope["method"] == "HEAD":
                    await send({"type": "http.response.body", "body": b""})
                    return
                listener = asyncio.create_task(_close_when_gone(receive, subscription))
                try:
                    await self._send_all(send, first, groups)
                finally:
                    listener.cancel()

    async def _send_all(self, send: Send, first: Group, groups: AsyncIterator[Group]) -> None:
        """Where the client reads slowly, `send` waits, and the subscription keeps the newest states meanwhile."""
        preface = b"retry: %d\n\n" % RETRY_MS
        await send({"type": "http.response.body", "body": preface + encode_group(first), "more_body": True})
        # A store that went away, or a subject that was deleted, cannot be told once the answer has begun: the stream
        # ends, and the client that connects again is told by status code.
        with suppress(LogUnavailable, Refused):
            async for group in groups:
                await send({"type": "http.response.body", "body": encode_group(group), "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def _close_when_gone(receive: Receive, subscription: Subscription) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    subscription.close()
