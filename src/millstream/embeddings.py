"""The embedding models that this installation can make, one instance each."""

from knowledge.embedders import HASH_MODEL, OPENAI_PREFIX, USE_MODEL, Embedder, make_embedder
from knowledge.errors import EmbeddingError
from millstream.errors import ExitCode, Stop
from millstream.settings import Settings


class Embeddings:
    """Makes each model once; a knowledge base names the one that it was created with."""

    def __init__(self, settings: Settings) -> None:
        """Raises Stop for a setting that names no model."""
        self._settings = settings
        self._made: dict[str, Embedder] = {}
        self.default = self.full_name(settings.embedding)
        if self.default not in {USE_MODEL, HASH_MODEL} and not self.default.startswith(OPENAI_PREFIX):
            raise Stop(
                f"MILLSTREAM_EMBEDDING={settings.embedding!r} is no known embedding",
                hint="use local, openai or hash",
                exit_code=ExitCode.CONFIGURATION,
            )

    def full_name(self, name: str) -> str:
        """What an alias stands for at present: nothing and `openai` follow the settings, `local` never changes."""
        match name:
            case "":
                return self.default
            case "local":
                return USE_MODEL
            case "openai":
                return f"{OPENAI_PREFIX}{self._settings.openai_embedding_model}"
            case other:
                return other

    def of(self, model: str) -> Embedder:
        """Raises EmbeddingError for a model that the present settings cannot make: mending them is all it needs."""
        model = self.full_name(model)
        if model not in self._made:
            try:
                self._made[model] = make_embedder(
                    model,
                    base_url=self._settings.openai_base_url or None,
                    api_key=self._settings.openai_api_key or None,
                    dimensions=self._dimensions_of(model),
                    timeout_s=self._settings.embedding_call_s_max,
                )
            except ValueError as error:
                raise EmbeddingError("embedding_not_configured", str(error), is_permanent=False) from None
        return self._made[model]

    def dimensions_of(self, model: str) -> int | None:
        """The length of a model's vectors; None for a model that the present settings cannot make."""
        try:
            return self.of(model).dimensions
        except EmbeddingError:
            return None

    async def warm(self) -> None:
        """Loads the default model if it runs in this process; one elsewhere is not asked (and paid) for that."""
        if self.default == USE_MODEL:
            await self.of(self.default).embed_query("flour")

    async def close(self) -> None:
        for embedder in self._made.values():
            await embedder.close()

    def _dimensions_of(self, model: str) -> int | None:
        is_configured = model == self.full_name("openai")
        return self._settings.openai_embedding_dimensions if is_configured else None
