"""Tools that bring documents in, and the one that tells what became of them."""

import asyncio
from math import ceil
from typing import Any, Final

from domain.amounts import counted
from domain.status import DocumentStatus, TaskStatus
from millstream.mcp import arguments, results
from millstream.mcp.calls import Calls
from millstream.mcp.tool import OnProgress, Tool
from projections.subscription import TERMINAL

POLL_S_MAX: Final = 25
"""One long poll: proxies close what is silent for longer."""

DOCUMENTS_SHOWN: Final = 50


async def ingest_url(calls: Calls, asked: arguments.IngestUrl, _on_progress: OnProgress) -> results.Accepted:
    return await _import(calls, asked, {"urls": asked.urls})


async def ingest_text(calls: Calls, asked: arguments.IngestText, _on_progress: OnProgress) -> results.Accepted:
    return await _import(calls, asked, {"text": asked.text, "filename": asked.filename})


async def watch_task(calls: Calls, asked: arguments.WatchTask, on_progress: OnProgress) -> results.Task:
    """Until it ends, the time is over, or the service is stopping and waits for nothing any more."""
    now_s = asyncio.get_running_loop().time
    due_s = now_s() + asked.wait_s
    task = await calls.task(asked.task_id)
    while task.status not in TERMINAL and (left_s := due_s - now_s()) > 0:
        await on_progress(task.progress, _in_words(task))
        wait_s, began_s = min(POLL_S_MAX, ceil(left_s)), now_s()
        later = await calls.task_after(task, wait_s)
        if later is None and now_s() - began_s < wait_s / 2:
            break
        task = later or task
    await on_progress(task.progress, _in_words(task))
    documents = await calls.task_documents(asked.task_id, DOCUMENTS_SHOWN)
    return results.Task(
        task_id=task.task_id,
        knowledge_base_id=task.knowledge_base_id,
        status=task.status.value,
        has_ended=task.status in TERMINAL,
        progress=task.progress,
        documents_total=task.documents.total,
        documents_failed=task.documents.failed,
        documents=tuple(map(_document, documents)),
    )


async def _import(
    calls: Calls, asked: arguments.IngestUrl | arguments.IngestText, what: dict[str, Any]
) -> results.Accepted:
    options = {"metadata": asked.metadata, "on_duplicate": asked.on_duplicate}
    knowledge_base = await calls.knowledge_base_id(asked.knowledge_base)
    return await calls.import_documents(knowledge_base, {**what, "options": options}, asked.idempotency_key)


def _in_words(task: TaskStatus) -> str:
    documents = task.documents
    ended = documents.total - documents.queued - documents.processing
    failed = f", {documents.failed} failed" if documents.failed else ""
    have = "has" if documents.total == 1 else "have"
    return f"{task.status.value}: {ended} of {counted(documents.total, 'document')} {have} ended{failed}"


def _document(status: DocumentStatus) -> results.TaskDocument:
    return results.TaskDocument(
        document_id=status.document_id,
        filename=status.filename,
        status=status.status.value,
        progress=status.progress,
        problem=None if status.error is None else f"{status.error.code}: {status.error.message}",
    )


INGESTING: Final = (
    Tool(
        name="ingest_url",
        title="Ingest from the web",
        description="Have public addresses fetched into a knowledge base, a document each. Answers a task to watch.",
        arguments=arguments.IngestUrl,
        result=results.Accepted,
        run=ingest_url,
        is_reading=False,
        reaches_out=True,
    ),
    Tool(
        name="ingest_text",
        title="Ingest a text",
        description="Store a text as a document of a knowledge base. Answers a task to watch.",
        arguments=arguments.IngestText,
        result=results.Accepted,
        run=ingest_text,
        is_reading=False,
    ),
    Tool(
        name="watch_task",
        title="Wait for a task",
        description="Wait until the documents of a task can be found, or have failed; tells progress meanwhile.",
        arguments=arguments.WatchTask,
        result=results.Task,
        run=watch_task,
    ),
)
