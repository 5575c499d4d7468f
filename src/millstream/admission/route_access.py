"""What each route asks of a key: one table, by the route's name. A route that is not in it keeps the service from
starting, and fails a test before that."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

from domain.access import Scope


class Pace(StrEnum):
    """Which of a key's rates a call counts against."""

    READ = "read"
    SEARCH = "search"
    WRITE = "write"


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """`scope` None is public. `is_intake`: brings documents in, so it is refused early when there is too much of them.
    `is_whole`: about everything, so it is nothing for a key that is bound to knowledge bases."""

    scope: Scope | None
    pace: Pace = Pace.READ
    is_intake: bool = False
    is_whole: bool = False

    @property
    def is_reading(self) -> bool:
        """Changes nothing, so it may go on for a while where Redis is silent."""
        return self.pace is not Pace.WRITE


PUBLIC: Final = Access(scope=None)
READ: Final = Access(scope=Scope.READ)
SEARCH: Final = Access(scope=Scope.READ, pace=Pace.SEARCH)
WRITE: Final = Access(scope=Scope.WRITE, pace=Pace.WRITE)
WRITE_READ: Final = Access(scope=Scope.WRITE)
INTAKE: Final = Access(scope=Scope.WRITE, pace=Pace.WRITE, is_intake=True)
OWN_UPLOADS: Final = Access(scope=Scope.WRITE)
"""Asking about an upload in the making: for those who could make one."""

CREATE: Final = Access(scope=Scope.WRITE, pace=Pace.WRITE, is_whole=True)
ADMIN: Final = Access(scope=Scope.ADMIN, pace=Pace.WRITE, is_whole=True)
ADMIN_READ: Final = Access(scope=Scope.ADMIN, is_whole=True)

WHOLE: Final = Access(scope=Scope.READ, is_whole=True)
"""Figures of everything, without a name in them: a monitoring system needs no key that could change anything."""

MESSAGES: Final = READ
"""Of the Model Context Protocol. What its tools do is asked of the routes below, in this process and with the same key:
those judge and count it as if it had come by itself."""

ROUTES: Final[Mapping[str, Access]] = {
    "healthz": PUBLIC,
    "openapi_document": PUBLIC,
    "docs": PUBLIC,
    "docs_file": PUBLIC,
    "page": PUBLIC,
    "page_file": PUBLIC,
    "readyz": PUBLIC,
    # what comes in
    "upload_documents": INTAKE,
    "import_documents": INTAKE,
    "create_upload": INTAKE,
    "append_to_upload": INTAKE,
    "override_upload_method": INTAKE,
    "terminate_upload": WRITE,
    "upload_status": OWN_UPLOADS,
    "upload_options": OWN_UPLOADS,
    "uploads_options": OWN_UPLOADS,
    "retry_task": WRITE,
    "reprocess_document": WRITE,
    "reprocess_documents": WRITE,
    "reindex": WRITE,
    "abandon_reindex": WRITE,
    "retry_dead_letters": WRITE,
    "delete_dead_letter": WRITE,
    "cancel_task": WRITE,
    "delete_document": WRITE,
    "change_document": WRITE,
    "change_chunk": WRITE,
    "create_knowledge_base": CREATE,
    "change_knowledge_base": WRITE,
    "delete_knowledge_base": WRITE,
    # what is read
    "list_tasks": READ,
    "get_task": READ,
    "list_task_documents": READ,
    "list_task_events": READ,
    "stream_task": READ,
    "list_knowledge_bases": READ,
    "get_knowledge_base": READ,
    "get_reindex": READ,
    "preview_chunks": SEARCH,
    "list_documents": READ,
    "get_document": READ,
    "get_document_content": READ,
    "get_document_text": READ,
    "list_chunks": READ,
    "get_chunk": READ,
    "stream_knowledge_base": READ,
    "list_dead_letters": READ,
    "list_events": READ,
    "stream_everything": READ,
    "search": SEARCH,
    "search_many": SEARCH,
    "answer_question": SEARCH,
    "answer_many": SEARCH,
    "mcp": MESSAGES,
    # who is told elsewhere
    "create_webhook": WRITE,
    "list_webhooks": WRITE_READ,
    "get_webhook": WRITE_READ,
    "change_webhook": WRITE,
    "delete_webhook": WRITE,
    "rotate_webhook_secret": WRITE,
    "get_callback_secret": WRITE_READ,
    "test_webhook": WRITE,
    "list_deliveries": WRITE_READ,
    "get_delivery": WRITE_READ,
    "redeliver": WRITE,
    "redeliver_many": WRITE,
    # the whole, and who gets in
    "metrics": WHOLE,
    "get_system": ADMIN_READ,
    "get_archive": ADMIN_READ,
    "archive_now": ADMIN,
    "verify_archive": ADMIN,
    "create_key": ADMIN,
    "list_keys": ADMIN_READ,
    "get_key": ADMIN_READ,
    "revoke_key": ADMIN,
    "rotate_key": ADMIN,
}
