"""Calls that are carried out together: while one round is under way, the calls of the next one gather."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


class _Call(Generic[Asked, Answer]):
    """Compared by identity."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()


class Gathering(Generic[Asked, Answer]):
    """`carry_out` gets what `fits` (so many of those that wait, from the first; at least one goes) and answers each.

    Where a round of several raises, each is carried out alone: one bad call spoils no other. `has_effect`: what is
    carried out changes something, so nobody leaves in the middle of it.
    """

    def __init__(
        self,
        carry_out: Callable[[Sequence[Asked]], Awaitable[Sequence[Answer]]],
        fits: Callable[[Sequence[Asked]], int],
        *,
        has_effect: bool = True,
    ) -> None:
        self._carry_out = carry_out
        self._fits = fits
        self._has_effect = has_effect
        self._waiting: list[_Call[Asked, Answer]] = []
        self._rounds: asyncio.Task[None] | None = None

    async def ask(self, asked: Asked) -> Answer:
        """The answer to one call; raises what carrying it out raised.

        Cancelled before its round it is not carried out; during it the round is waited for where it has an effect, or
        that would come to pass behind the back of a caller for whom it is over.
        """
        call: _Call[Asked, Answer] = _Call(asked)
        self._waiting.append(call)
        if self._rounds is None:
            self._rounds = asyncio.create_task(self._go_round())
        try:
            return await asyncio.shield(call.answer)
        except asyncio.CancelledError:
            if call in self._waiting:
                self._waiting.remove(call)
            elif not self._has_effect:
                call.answer.cancel()
            elif not call.answer.done():
                await asyncio.wait([call.answer])
            if call.answer.done() and not call.answer.cancelled():
                call.answer.exception()  # seen: the caller is gone
            raise

    async def _go_round(self) -> None:
        together: list[_Call[Asked, Answer]] = []
        try:
            while self._waiting:
                count = max(1, self._fits([call.asked for call in self._waiting]))
                together, self._waiting = self._waiting[:count], self._waiting[count:]
                await self._answer(together)
        finally:
            self._rounds = None
            for call in [*together, *self._waiting]:
                call.answer.cancel()  # only where the rounds were cancelled with their loop

    async def _answer(self, calls: Sequence[_Call[Asked, Answer]]) -> None:
        try:
            answers = await self._carry_out([call.asked for call in calls])
        except Exception as error:
            for call in calls:
                if call.answer.cancelled():  # its caller has left
                    continue
                if len(calls) > 1:
                    await self._answer([call])
                else:
                    call.answer.set_exception(error)
        else:
            for call, answer in zip(calls, answers, strict=True):
                if not call.answer.cancelled():
                    call.answer.set_result(answer)
