"""The embedding models that this installation can make, one instance each."""

from typing import Any, Final

import msgspec

from knowledge.embedders import (
    HASH_MODEL,
    KNOWN_DIMENSIONS,
    LLAMAINDEX_PREFIX,
    NO_PREFIXES,
    OPENAI_PREFIX,
    USE_MODEL,
    Embedder,
    Embedding,
    Prefixes,
    make_embedder,
)
from knowledge.errors import EmbeddingError
from knowledge.llama_embedder import LlamaEmbedder
from knowledge.prefixed_embedder import PrefixedEmbedder
from millstream.errors import ExitCode, Stop
from millstream.settings import Settings

NAME_CHARS_MAX: Final = 200
"""Of a model as a knowledge base records it."""

LLAMAINDEX: Final = "llamaindex"
NOT_CONFIGURED: Final = "embedding_not_configured"
DIMENSIONS_CHANGED: Final = "dimensions_changed"


class Embeddings:
    """Makes each model once; a knowledge base names the one that it was created with."""

    def __init__(self, settings: Settings) -> None:
        """Raises Stop for a setting that names no model. Nothing is imported for one of LlamaIndex yet."""
        self._settings = settings
        self._made: dict[tuple[str, int | None], Embedder] = {}
        self._arguments: dict[str, Any] = msgspec.json.decode(settings.llamaindex_arguments or "{}")
        self._class_name = _class_name(settings, self._arguments)
        self.default = self.full_name(settings.embedding)
        if self.default not in {USE_MODEL, HASH_MODEL} and not self.default.startswith(
            (OPENAI_PREFIX, LLAMAINDEX_PREFIX)
        ):
            raise Stop(
                f"MILLSTREAM_EMBEDDING={settings.embedding!r} is no known embedding",
                hint="use local, openai, llamaindex:package.module.ClassName or hash",
                exit_code=ExitCode.CONFIGURATION,
            )
        if self._class_name:
            self._check_class()

    def full_name(self, name: str) -> str:
        """What an alias stands for at present: nothing, `openai` and `llamaindex` follow the settings, `local` never
        changes."""
        match name:
            case "":
                return self.default
            case "local":
                return USE_MODEL
            case "openai":
                return f"{OPENAI_PREFIX}{self._settings.openai_embedding_model}"
            case self._settings.embedding | "llamaindex" if self._class_name and name.startswith(LLAMAINDEX):
                return self._class_name
            case other:
                return other

    def of(self, model: str) -> Embedder:
        """Raises EmbeddingError for a model that the present settings cannot make: mending them is all it needs."""
        return self._of(self.full_name(model), None)

    def by(self, embedding: Embedding) -> Embedder:
        """What makes vectors to be compared with a knowledge base's. Raises EmbeddingError as `of` does, and
        `dimensions_changed` where the settings say another length than it recorded."""
        embedder = self._of(self.full_name(embedding.model), embedding.dimensions)
        if embedding.dimensions not in {None, embedder.dimensions}:
            raise EmbeddingError(
                DIMENSIONS_CHANGED,
                f"{embedder.model} makes vectors of {embedder.dimensions:,} dimensions by the settings, the index has "
                f"{embedding.dimensions:,}: undo the change of the settings, or build another index",
                is_permanent=True,
            )
        if embedding.prefixes == NO_PREFIXES:
            return embedder
        return PrefixedEmbedder(embedder, embedding.prefixes)

    def prefixes_of(self, model: str) -> Prefixes:
        """Those of a new knowledge base that names none: the settings have them for the default model."""
        if self.full_name(model) != self.default:
            return NO_PREFIXES
        return Prefixes(self._settings.embedding_query_prefix, self._settings.embedding_passage_prefix)

    def dimensions_of(self, model: str) -> int | None:
        """The length of a model's vectors; None for a model that the present settings cannot make."""
        try:
            return self.of(model).dimensions
        except EmbeddingError:
            return None

    async def check(self) -> None:
        """Imports and makes the class of LlamaIndex that the settings name, if they do: for processes that embed.
        Raises Stop that says what is wrong with it."""
        if not self._class_name:
            return
        embedder = self.of(self._class_name)
        assert isinstance(embedder, LlamaEmbedder)  # noqa: S101  by its name
        try:
            await embedder.load()
        except EmbeddingError as error:
            raise Stop(error.message, hint=_CLASS_HINT, exit_code=ExitCode.CONFIGURATION) from None

    async def warm(self) -> None:
        """Loads the default model if it runs in this process; one elsewhere is not asked (and paid) for that."""
        if self.default == USE_MODEL:
            await self.of(self.default).embed_query("flour")

    async def close(self) -> None:
        for embedder in self._made.values():
            await embedder.close()

    def _of(self, model: str, recorded_dimensions: int | None) -> Embedder:
        """`recorded_dimensions` are those of a model of the endpoint that the settings do not name any more."""
        dimensions = self._dimensions_of(model) or recorded_dimensions
        if (model, dimensions) not in self._made:
            try:
                self._made[model, dimensions] = self._make(model, dimensions)
            except ValueError as error:
                raise EmbeddingError(NOT_CONFIGURED, str(error), is_permanent=False) from None
        return self._made[model, dimensions]

    def _make(self, model: str, dimensions: int | None) -> Embedder:
        """Raises ValueError."""
        # Only the class that an operator named is ever imported: names also come in by the API.
        if model.startswith(LLAMAINDEX_PREFIX) and model != self._class_name:
            raise ValueError(
                f"{model} is not what the settings name; set MILLSTREAM_LLAMAINDEX_CLASS and _ARGUMENTS for it"
            )
        return make_embedder(
            model,
            base_url=self._settings.openai_base_url or None,
            api_key=self._settings.openai_api_key or None,
            dimensions=dimensions,
            timeout_s=self._settings.embedding_call_s_max,
            arguments=self._arguments,
        )

    def _dimensions_of(self, model: str) -> int | None:
        if model == self._class_name:
            return self._settings.llamaindex_dimensions or None
        if model == self.full_name("openai"):
            return self._settings.openai_embedding_dimensions
        return KNOWN_DIMENSIONS.get(model.removeprefix(OPENAI_PREFIX))

    def _check_class(self) -> None:
        """Raises Stop."""
        what = ""
        if not self._settings.llamaindex_dimensions:
            what = "MILLSTREAM_LLAMAINDEX_DIMENSIONS is not set: the length of the vectors is recorded before the first"
        if len(self._class_name) > NAME_CHARS_MAX:
            what = f"the embedding is called {self._class_name!r}: more than {NAME_CHARS_MAX} characters"
        try:
            self.of(self._class_name)
        except EmbeddingError as error:
            what = what or f"MILLSTREAM_EMBEDDING or MILLSTREAM_LLAMAINDEX_CLASS: {error.message}"
        if what:
            raise Stop(what, hint="`millstream doctor` tells what the class makes", exit_code=ExitCode.CONFIGURATION)


_CLASS_HINT: Final = (
    "install the package that has it into this environment, or mend MILLSTREAM_EMBEDDING and _LLAMAINDEX_ARGUMENTS"
)


def _class_name(settings: Settings, arguments: dict[str, Any]) -> str:
    """The full name of the class that the settings name, with the model that its arguments do; empty where none is.

    A class says nothing of the space that its vectors lie in; its model does, and knowledge bases record it.
    """
    path = settings.embedding.removeprefix(LLAMAINDEX_PREFIX) if _names_class(settings) else settings.llamaindex_class
    if not path or "#" in path:
        return f"{LLAMAINDEX_PREFIX}{path}" if path else ""
    model = next((arguments[name] for name in ("model_name", "model") if isinstance(arguments.get(name), str)), "")
    return f"{LLAMAINDEX_PREFIX}{path}#{model}" if model else f"{LLAMAINDEX_PREFIX}{path}"


def _names_class(settings: Settings) -> bool:
    return settings.embedding.startswith(LLAMAINDEX_PREFIX)
