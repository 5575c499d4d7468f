"""How a decision says no."""

from enum import StrEnum


class RefusalCode(StrEnum):
    """Stable codes; an API answers with them as they are."""

    UNKNOWN_KNOWLEDGE_BASE = "unknown_knowledge_base"
    UNKNOWN_TASK = "unknown_task"
    UNKNOWN_DOCUMENT = "unknown_document"
    KNOWLEDGE_BASE_DELETED = "knowledge_base_deleted"
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused"
    REINDEX_IN_PROGRESS = "reindex_in_progress"
    REINDEX_REQUIRED = "reindex_required"
    TASK_FINISHED = "task_finished"
    DOCUMENT_ENDED = "document_ended"
    DOCUMENT_IN_PROGRESS = "document_in_progress"
    DOCUMENT_REMOVED = "document_removed"
    NOT_A_DEAD_LETTER = "not_a_dead_letter"
    NOTHING_TO_RETRY = "nothing_to_retry"
    STEP_NOT_REACHED = "step_not_reached"
    TOO_MANY_EDITS = "too_many_edits"
    VALIDATION_FAILED = "validation_failed"
    UNKNOWN_KEY = "unknown_key"
    KEY_ENDED = "key_ended"
    UNKNOWN_WEBHOOK = "unknown_webhook"
    UNKNOWN_DELIVERY = "unknown_delivery"
    WEBHOOK_DISABLED = "webhook_disabled"
    TOO_MANY_WEBHOOKS = "too_many_webhooks"


class Refused(Exception):
    """A command that makes no sense in the present state; nothing happened. `detail` says what to do instead."""

    def __init__(self, code: RefusalCode, detail: str) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail

    def __str__(self) -> str:
        return self.detail


class ImpossibleEvent(Exception):
    """A history holds an event that cannot follow the state before it: the log was written by something else."""


class Contention(Exception):
    """Others kept appending to the same stream for all attempts; nothing was appended. Trying again later is safe."""
