"""What the routes that write, and the sweep that accepts lost uploads again, work with."""

from secrets import token_bytes

from domain.access import principal_of
from ingest.callbacks import Callbacks
from ingest.redis_uploads import RedisUploads
from ingest.services import EmbeddingModel, IngestServices
from ingest.settings import IngestSettings
from ingest.webhooks import WebhookServices
from millstream.admission.room import LimitsOf, no_limits, room_by
from millstream.admission.visiting import refuse_ended
from millstream.calling import outbound_guard
from millstream.notifying import deliveries_of, subscriptions_of, webhook_settings
from millstream.stores import Stores, clock_us
from projections.queries import Queries

UPLOAD_S_MIN = 30
"""What an upload may take at least, however short a test makes the grace period of orphans."""


def ingest_services(stores: Stores, queries: Queries, limits_of: LimitsOf = no_limits) -> IngestServices:
    """Services over open stores; `limits_of` an actor's key."""
    settings = stores.settings
    return IngestServices(
        log=stores.log,
        blobs=stores.blobs,
        uploads=RedisUploads(stores.clients.commands, stores.keys),
        ids=stores.ids,
        clock_us=clock_us,
        actor_of=lambda request: principal_of(request.scope).actor,
        known_embedding=lambda name: _known_embedding(stores, name),
        status_of=queries.knowledge_base,
        room_of=room_by(queries, settings, limits_of),
        refuse_ended=refuse_ended,
        callbacks=Callbacks(outbound_guard(settings).check_url, subscriptions_of(stores).expect_callbacks),
        check_url=outbound_guard(settings).check_url,
        has_import_bucket=bool(settings.import_bucket_url),
        settings=IngestSettings(
            import_items_max=settings.import_items_max,
            import_text_bytes_max=settings.import_text_bytes_max,
            upload_bytes_max=settings.upload_bytes_max,
            request_bytes_max=settings.request_bytes_max,
            files_max=settings.files_max,
            piece_bytes=settings.resumable_piece_bytes,
            resumable_expiry_s=settings.resumable_expiry_s,
            resumable_open_max=settings.resumable_open_max,
            upload_s_max=max(UPLOAD_S_MIN, settings.orphan_grace_s // 2),
        ),
    )


def webhook_services(stores: Stores) -> WebhookServices:
    """What the routes of webhooks work with. Raises Stop."""
    return WebhookServices(
        log=stores.log,
        subscriptions=subscriptions_of(stores),
        deliveries=deliveries_of(stores),
        check_url=outbound_guard(stores.settings).check_url,
        unique=stores.ids.unique,
        random_bytes=token_bytes,
        clock_us=clock_us,
        installation_secret=stores.secret,
        settings=webhook_settings(stores.settings),
        json_bytes_max=IngestSettings().json_bytes_max,
    )


def _known_embedding(stores: Stores, name: str) -> EmbeddingModel | None:
    full_name = stores.embeddings.full_name(name)
    dimensions = stores.embeddings.dimensions_of(full_name)
    if dimensions is None:
        return None
    prefixes = stores.embeddings.prefixes_of(full_name)
    return EmbeddingModel(full_name, dimensions, prefixes.query, prefixes.passage)
