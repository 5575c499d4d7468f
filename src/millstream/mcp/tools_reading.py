"""Tools that read: searches, lists, texts, answers."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from domain.knowledge_base_status import KnowledgeBaseStatus
from domain.status import DocumentStatus
from knowledge.asked_passages import text_of
from knowledge.search import Passage
from millstream.mcp import arguments, results
from millstream.mcp.arguments import READ_CHARACTERS_MAX
from millstream.mcp.calls import Calls
from millstream.mcp.tool import DATA, OnProgress, Tool
from millstream.reading.routes import DocumentText
from millstream.reading.shown import ShownChunk


async def search(calls: Calls, asked: arguments.Search, _on_progress: OnProgress) -> results.Found:
    body = _without(asked, "knowledge_bases", "passage_characters")
    body["knowledge_base_ids"] = await calls.knowledge_base_ids(asked.knowledge_bases)
    found = await calls.search(body)
    passages = tuple(_bounded(found.passages, asked.passage_characters))
    return results.Found(passages=passages, reranker=found.reranker, warnings=found.warnings)


async def list_knowledge_bases(
    calls: Calls, asked: arguments.ListKnowledgeBases, _on_progress: OnProgress
) -> results.KnowledgeBases:
    page = await calls.page("/knowledge-bases", limit=asked.limit, cursor=asked.cursor)
    return results.KnowledgeBases(
        knowledge_bases=tuple(map(_knowledge_base, page.of(KnowledgeBaseStatus))), next_cursor=page.next_cursor
    )


async def list_documents(calls: Calls, asked: arguments.ListDocuments, _on_progress: OnProgress) -> results.Documents:
    page = await calls.documents(
        await calls.knowledge_base_id(asked.knowledge_base),
        status=None if asked.status is None else asked.status.value,
        q=asked.filename,
        limit=asked.limit,
        cursor=asked.cursor,
    )
    return results.Documents(documents=tuple(map(_document, page.of(DocumentStatus))), next_cursor=page.next_cursor)


async def read_document(calls: Calls, asked: arguments.ReadDocument, _on_progress: OnProgress) -> results.DocumentPart:
    knowledge_base = await calls.knowledge_base_id(asked.knowledge_base)
    params = {"start": asked.start, "characters": asked.characters, **({"page": asked.page} if asked.page else {})}
    text = await calls.text(knowledge_base, asked.document_id, **params)
    return results.DocumentPart(
        document_id=text.document_id,
        title=text.title,
        language=text.language,
        span=tuple(text.span),
        characters=text.characters,
        pages=tuple(page.number for page in text.pages),
        text=text.text,
        next_start=_next_start(text, asked),
        warnings=text.warnings,
    )


async def read_chunk(calls: Calls, asked: arguments.ReadChunk, _on_progress: OnProgress) -> results.ChunkInContext:
    knowledge_base = await calls.knowledge_base_id(asked.knowledge_base)
    found = await calls.chunk(knowledge_base, asked.document_id, asked.chunk_id, neighbours=asked.neighbours)
    characters = READ_CHARACTERS_MAX // (1 + len(found.before) + len(found.after))
    return results.ChunkInContext(
        document_id=asked.document_id,
        chunk=_chunk(found, characters),
        before=tuple(_chunk(one, characters) for one in found.before),
        after=tuple(_chunk(one, characters) for one in found.after),
    )


async def ask(calls: Calls, asked: arguments.Ask, _on_progress: OnProgress) -> results.Answer:
    body = _without(asked, "knowledge_bases")
    return await calls.ask({**body, "knowledge_base_ids": await calls.knowledge_base_ids(asked.knowledge_bases)})


def _without(asked: arguments.Arguments, *names: str) -> dict[str, Any]:
    body: dict[str, Any] = msgspec.to_builtins(asked)
    return {name: value for name, value in body.items() if name not in names}


def _bounded(passages: Iterable[Passage], characters_each: int) -> Iterable[results.FoundPassage]:
    """What all texts together may have is what may be read at once."""
    left = READ_CHARACTERS_MAX
    for one in passages:
        text = text_of(one)
        shown = text[: min(characters_each, left)]
        left -= len(shown)
        yield results.FoundPassage(
            chunk_id=one.chunk_id,
            document_id=one.document_id,
            knowledge_base_id=one.knowledge_base_id,
            filename=one.filename,
            page=one.page,
            headings=tuple(one.headings),
            score=one.score,
            span=tuple(one.span),
            text=shown,
            is_cut=len(shown) < len(text),
            metadata=dict(one.metadata),
        )


def _knowledge_base(status: KnowledgeBaseStatus) -> results.KnowledgeBase:
    return results.KnowledgeBase(
        knowledge_base_id=status.knowledge_base_id,
        name=status.name,
        description=status.description,
        documents=status.documents.total,
        searchable=status.documents.searchable,
        chunks=status.chunks,
        updated_at=status.updated_at,
    )


def _document(status: DocumentStatus) -> results.Document:
    return results.Document(
        document_id=status.document_id,
        filename=status.filename,
        status=status.status.value,
        searchable=status.searchable,
        media_type=status.media_type,
        size_bytes=status.size_bytes,
        pages=status.counts.pages,
        characters=status.counts.characters,
        chunks=status.counts.chunks,
        metadata=status.metadata,
        problem=None if status.error is None else f"{status.error.code}: {status.error.message}",
    )


def _chunk(chunk: ShownChunk, characters: int) -> results.Chunk:
    return results.Chunk(
        chunk_id=chunk.chunk_id,
        ordinal=chunk.ordinal,
        page=chunk.page,
        headings=chunk.headings,
        span=tuple(chunk.span),
        text=chunk.text[:characters],
        is_cut=len(chunk.text) > characters,
    )


def _next_start(text: DocumentText, asked: arguments.ReadDocument) -> int | None:
    """A part as long as was asked for may be the last one of a page: the part behind it is empty then, and says so."""
    end = text.span[1]
    if end >= text.characters or not text.text:
        return None
    return end if asked.page is None or end - text.span[0] == asked.characters else None


READING: Final = (
    Tool(
        name="search",
        title="Search documents",
        description=f"Find passages in one or several knowledge bases, best first, in English or Chinese. {DATA}",
        arguments=arguments.Search,
        result=results.Found,
        run=search,
    ),
    Tool(
        name="list_knowledge_bases",
        title="List knowledge bases",
        description="The knowledge bases that you may see, with how much is in them.",
        arguments=arguments.ListKnowledgeBases,
        result=results.KnowledgeBases,
        run=list_knowledge_bases,
    ),
    Tool(
        name="list_documents",
        title="List documents",
        description="The documents of a knowledge base, newest first, with their status and why one failed.",
        arguments=arguments.ListDocuments,
        result=results.Documents,
        run=list_documents,
    ),
    Tool(
        name="read_document",
        title="Read a document",
        description=f"The text of a document, a part at a time: go on at next_start. {DATA}",
        arguments=arguments.ReadDocument,
        result=results.DocumentPart,
        run=read_document,
    ),
    Tool(
        name="read_chunk",
        title="Read around a passage",
        description=f"A chunk that a search found, with the chunks before and after it. {DATA}",
        arguments=arguments.ReadChunk,
        result=results.ChunkInContext,
        run=read_chunk,
    ),
    Tool(
        name="ask",
        title="Answer a question",
        description="An answer with numbered citations, written by the service's language model from what it finds.",
        arguments=arguments.Ask,
        result=results.Answer,
        run=ask,
        needs_language_model=True,
    ),
)
