"""Pure: what the `Upload-Metadata` of a resumable upload says about the document that it becomes."""

import msgspec

from events.ids import KnowledgeBaseId, parse_knowledge_base_id
from ingest.options import UploadOptions, parse_options
from ingest.part_headers import short_ascii
from ingest.problems import invalid
from ingest.resumable import metadata_of
from ingest.settings import IngestSettings
from knowledge.filenames import clean_filename, clean_path


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """As a part of a multipart form says it: `declared_media_type` is a hint."""

    knowledge_base_id: KnowledgeBaseId
    filename: str
    path: str | None
    declared_media_type: str | None
    options: UploadOptions


def described(header: str, settings: IngestSettings, now_us: int) -> Described:
    """Keys that are not ours are the client's own. Raises Rejected, InvalidId."""
    metadata = metadata_of(header)
    knowledge_base = metadata.get("knowledge_base")
    if knowledge_base is None:
        raise invalid("/knowledge_base", "Upload-Metadata must name the knowledge base by its id, as knowledge_base")
    options = metadata.get("options")
    name = _text(metadata.get("filename") or metadata.get("name") or b"")
    return Described(
        knowledge_base_id=parse_knowledge_base_id(_text(knowledge_base)),
        filename=clean_filename(name),
        path=clean_path(name),
        declared_media_type=short_ascii(_text(metadata.get("filetype") or metadata.get("type") or b"")),
        options=UploadOptions() if options is None else parse_options(options, settings, now_us),
    )


def _text(value: bytes) -> str:
    """A name in another encoding is a name all the same."""
    return value.decode(errors="replace")
