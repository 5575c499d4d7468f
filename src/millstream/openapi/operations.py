"""The table of operations: all tables together, by the names of routes."""

from collections.abc import Mapping
from typing import Final

from millstream.openapi import (
    of_answers,
    of_chunks,
    of_documents,
    of_keys,
    of_knowledge_bases,
    of_reworking,
    of_service,
    of_tasks,
    of_uploads,
    of_webhooks,
)
from millstream.openapi.operation import Operation

OPERATIONS: Final[Mapping[str, Operation]] = {
    **of_documents.OPERATIONS,
    **of_chunks.OPERATIONS,
    **of_uploads.OPERATIONS,
    **of_tasks.OPERATIONS,
    **of_knowledge_bases.OPERATIONS,
    **of_reworking.OPERATIONS,
    **of_answers.OPERATIONS,
    **of_webhooks.OPERATIONS,
    **of_keys.OPERATIONS,
    **of_service.OPERATIONS,
}
