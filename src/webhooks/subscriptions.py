"""Where subscriptions are kept. Every process reads them; a counter tells cheaply whether anything has changed."""

from collections.abc import Callable
from typing import Protocol

import msgspec

from webhooks.subscription import Kept, WebhookId


class Everything(msgspec.Struct, frozen=True):
    """All subscriptions as of one moment, in the order of their ids. `version` rises with every change of anything.

    `has_callbacks`: a task with a callback was accepted once, so that finished tasks have to be looked at.
    """

    version: int
    kept: tuple[Kept, ...]
    has_callbacks: bool


class Full(msgspec.Struct, frozen=True):
    """There are `count` subscriptions already; no more are taken."""

    count: int


class SubscriptionStore(Protocol):
    """Raises LogUnavailable and LogFull from every call."""

    async def now_us(self) -> int:
        """The store's clock (unix µs), which is the log's."""
        ...

    async def version(self) -> int:
        """That of `everything` now; 0 where nothing was ever kept."""
        ...

    async def everything(self) -> Everything: ...

    async def find(self, webhook: WebhookId) -> Kept | None: ...

    async def create(self, kept: Kept, *, count_max: int) -> Kept | Full:
        """Keeps it, unless there is one with this id, which is answered then, or there are `count_max`."""
        ...

    async def change(self, webhook: WebhookId, changed: Callable[[Kept], Kept]) -> Kept | None:
        """Replaces it by what `changed` makes of it (asked again where somebody else was first); None: there is none.

        What `changed` raises comes through, and nothing is changed then.
        """
        ...

    async def delete(self, webhook: WebhookId) -> bool:
        """Whether there was one."""
        ...

    async def expect_callbacks(self) -> None:
        """To be called before a task with a callback enters the log; repeating it is cheap."""
        ...

    async def failing_since(self, webhook: WebhookId, now_us: int) -> int:
        """Remembers a failed attempt; answers when the first one was after the last success (unix µs)."""
        ...

    async def succeeded(self, webhook: WebhookId) -> None:
        """Something arrived: failures before it do not count any more."""
        ...
