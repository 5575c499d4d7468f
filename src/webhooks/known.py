"""The subscriptions as one process knows them: asked for anew where the counter says that something has changed."""

import time
from collections.abc import Callable, Mapping
from typing import Final

from webhooks.subscription import Kept, WebhookId
from webhooks.subscriptions import Everything, SubscriptionStore

RECENT_S: Final = 1.0
"""How long a subscription that was deleted or disabled may still be sent to."""


class Known:
    """Raises what the store raises."""

    def __init__(self, store: SubscriptionStore, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock_s = clock_s
        self._everything = Everything(-1, (), has_callbacks=False)
        self._by_id: Mapping[WebhookId, Kept] = {}
        self._asked_s = float("-inf")

    async def fresh(self) -> Everything:
        """As of this call: whatever was kept before it is in it."""
        if await self._store.version() != self._everything.version:
            self._everything = await self._store.everything()
            self._by_id = {kept.subscription.id: kept for kept in self._everything.kept}
        self._asked_s = self._clock_s()
        return self._everything

    @property
    def version(self) -> int:
        """Of what was asked for last."""
        return self._everything.version

    async def lately(self) -> Everything:
        """At most a second old."""
        return self._everything if self._clock_s() - self._asked_s < RECENT_S else await self.fresh()

    async def recent(self) -> Mapping[WebhookId, Kept]:
        """By id, at most a second old."""
        await self.lately()
        return self._by_id
