"""Names as this machine resolves them, each question in a thread that nobody waits for at the end."""

import asyncio
import socket
import threading
from collections.abc import Sequence
from typing import Final

from outbound.errors import Unresolvable

QUESTIONS_MAX: Final = 32
"""Threads that may hang in the system's resolver at once; it gives up by itself, after half a minute as a rule."""


class SystemResolver:
    """`getaddrinfo`. It cannot be broken off: whoever stops waiting leaves its thread behind, as a daemon, so that no
    silent name server delays a stop; and no more than `questions_max` of them."""

    def __init__(self, questions_max: int = QUESTIONS_MAX) -> None:
        self._free = threading.BoundedSemaphore(questions_max)

    async def resolve(self, name: str) -> Sequence[str]:
        if not self._free.acquire(blocking=False):
            raise Unresolvable("too many questions are waiting for the resolver")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Sequence[str]] = loop.create_future()
        threading.Thread(target=self._ask, args=(name, loop, answer), name="resolver", daemon=True).start()
        return await answer

    def _ask(self, name: str, loop: asyncio.AbstractEventLoop, answer: "asyncio.Future[Sequence[str]]") -> None:
        found: Sequence[str] | Unresolvable
        try:
            found = _addresses(name)
        except Unresolvable as error:
            found = error
        finally:
            self._free.release()
        try:
            loop.call_soon_threadsafe(_tell, answer, found)
        except RuntimeError:
            return  # the loop has closed: nobody waits any more


def _addresses(name: str) -> Sequence[str]:
    try:
        answers = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unresolvable(f"{name} has no address") from error
    return list(dict.fromkeys(str(address[0]) for _, _, _, _, address in answers))


def _tell(answer: "asyncio.Future[Sequence[str]]", found: Sequence[str] | Unresolvable) -> None:
    if answer.done():
        return
    if isinstance(found, Unresolvable):
        answer.set_exception(found)
    else:
        answer.set_result(found)
