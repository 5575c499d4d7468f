"""LlamaIndex' splitter of sentences, without the rest of the library: 0.3 s instead of 1.3 s.

Who uses more of the library in the same process imports a name of `llama_index.core` itself first: its modules import
one another in circles, and only its own order is sure to work.
"""

from typing import Any, Final

from knowledge.packages_on_demand import load_on_demand

load_on_demand("llama_index.core", global_handler=None)
load_on_demand("llama_index.core.node_parser")
load_on_demand("llama_index.core.node_parser.text")

from llama_index.core.callbacks.base import CallbackManager  # noqa: E402  after what stands above
from llama_index.core.callbacks.base_handler import BaseCallbackHandler  # noqa: E402
from llama_index.core.node_parser.text.sentence import SentenceSplitter  # noqa: E402

__all__ = ["NOBODY_LISTENS", "SentenceSplitter"]


class _Deaf(BaseCallbackHandler):
    """Without any handler a manager asks the settings of the library, and they load all of it."""

    def on_event_start(self, *_args: Any, **_kwargs: Any) -> str:
        return ""

    def on_event_end(self, *_args: Any, **_kwargs: Any) -> None: ...

    def start_trace(self, trace_id: str | None = None) -> None: ...

    def end_trace(self, *_args: Any, **_kwargs: Any) -> None: ...


NOBODY_LISTENS: Final = CallbackManager([_Deaf([], [])])
"""To be passed to a splitter as its callback manager."""
