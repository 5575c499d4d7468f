"""Webhooks over the client's connection."""

from collections.abc import Sequence
from typing import Any

import msgspec

from millstream.client_http import Http, Page
from webhooks.shown import CallbackSecret, DeliveryDetail, DeliveryStatus, Redelivered, ShownWebhook, WebhookStatus


class Webhooks:
    """Every call raises Stop, as those of `Client` do."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def create(
        self,
        url: str,
        *,
        events: Sequence[str] = (),
        knowledge_bases: Sequence[str] = (),
        description: str = "",
        idempotency_key: str | None = None,
    ) -> ShownWebhook:
        """Without events and knowledge bases it is told of all. The answer shows the secret, this once."""
        body: dict[str, Any] = {"url": url, "description": description}
        body |= {"events": list(events)} if events else {}
        body |= {"knowledge_bases": list(knowledge_bases)} if knowledge_bases else {}
        return self._http.post("/webhooks", ShownWebhook, json=body, idempotency_key=idempotency_key)

    def all(self) -> tuple[WebhookStatus, ...]:
        """Newest first."""
        return self._http.listed("/webhooks", WebhookStatus, {})

    def get(self, webhook_id: str) -> WebhookStatus:
        return self._http.get(f"/webhooks/{webhook_id}", WebhookStatus)

    def change(self, webhook_id: str, **fields: Any) -> WebhookStatus:
        """`url`, `events`, `knowledge_bases`, `description`, `enabled`: what is given is changed."""
        answer = self._http.send("PATCH", f"/webhooks/{webhook_id}", json=fields)
        return msgspec.json.decode(answer.content, type=WebhookStatus)

    def delete(self, webhook_id: str) -> None:
        self._http.send("DELETE", f"/webhooks/{webhook_id}")

    def rotate(self, webhook_id: str, *, idempotency_key: str | None = None) -> ShownWebhook:
        """A new secret, shown this once; the one before signs too for a while."""
        return self._http.post(f"/webhooks/{webhook_id}/rotate-secret", ShownWebhook, idempotency_key=idempotency_key)

    def test(self, webhook_id: str, *, idempotency_key: str | None = None) -> DeliveryStatus:
        """Sends a message that means nothing."""
        return self._http.post(f"/webhooks/{webhook_id}/test", DeliveryStatus, idempotency_key=idempotency_key)

    def deliveries(self, webhook_id: str, *, status: str | None = None, limit: int = 50) -> tuple[DeliveryStatus, ...]:
        """The newest of them."""
        params: dict[str, Any] = {"limit": limit, **({"status": status} if status else {})}
        page = self._http.get(f"/webhooks/{webhook_id}/deliveries", Page, params=params)
        return tuple(msgspec.json.decode(row, type=DeliveryStatus) for row in page.data)

    def delivery(self, webhook_id: str, delivery_id: str) -> DeliveryDetail:
        """With every attempt."""
        return self._http.get(f"/webhooks/{webhook_id}/deliveries/{delivery_id}", DeliveryDetail)

    def redeliver(self, webhook_id: str, delivery_id: str) -> DeliveryStatus:
        """Sends a message again, under the same id."""
        return self._http.post(f"/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver", DeliveryStatus)

    def redeliver_since(self, webhook_id: str, since: str, *, status: str = "failed") -> Redelivered:
        """Those made since a time (RFC 3339) in one state."""
        body = {"since": since, "status": status}
        return self._http.post(f"/webhooks/{webhook_id}/redeliver", Redelivered, json=body)

    def callback_secret(self) -> str:
        """What callbacks of one's own tasks are signed with."""
        return self._http.get("/webhooks/callback-secret", CallbackSecret).secret
