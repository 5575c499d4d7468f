"""What becomes of a POST that is sent again under the same Idempotency-Key: each route takes one."""

from collections.abc import Callable, Iterable
from typing import Final

from starlette.routing import Route

from events.log import EventLog
from ingest.once import Checked, Once
from ingest.replies import Replies
from ingest.settings import IngestSettings

KNOWN_BY_ITS_KEY: Final = frozenset(
    {
        "create_key",
        "create_knowledge_base",
        "create_upload",
        "create_webhook",
        "import_documents",
        "reprocess_document",
        "retry_task",
        "rotate_key",
        "rotate_webhook_secret",
        "test_webhook",
        "upload_documents",
    }
)
"""What these make is named after the key: a repetition finds it. Two of them answer a secret, which is kept nowhere."""

HARMLESS: Final = frozenset(
    {
        "answer_many",
        "answer_question",
        "override_upload_method",
        "preview_chunks",
        "search",
        "search_many",
        "verify_archive",
    }
)
"""These change nothing, or are a PATCH in disguise, which names its offset."""


def repeatable(
    routes: Iterable[Route], replies: Replies, log: EventLog, *, new_token: Callable[[], str], settings: IngestSettings
) -> list[Route]:
    """The same routes. The answer of a POST that is named above in neither list is kept, so that a new one need not
    think of it."""
    found = []
    for route in routes:
        if "POST" in (route.methods or ()):
            if route.name in KNOWN_BY_ITS_KEY | HARMLESS:
                route.app = Checked(route.app)
            else:
                route.app = Once(route.app, replies, log, new_token, settings)
        found.append(route)
    return found
