"""Operations: questions to knowledge bases."""

from collections.abc import Mapping
from typing import Final

from ingest.problems import ProblemCode
from knowledge.answers import Answer as AnswerBody
from knowledge.answers import AnswerRequest
from knowledge.routes_answers import AnswerManyRequest
from millstream.openapi.of_knowledge_bases import GONE, SEARCHED
from millstream.openapi.operation import EVENT_STREAM, Answer, JsonBody, Operation, Schema, Tag

_EVENTS: Final[Schema] = {
    "type": "string",
    "description": (
        "With `stream`: `event: passages` ({passages}), then `event: text` ({text}) for each piece, `event: citations` "
        "({citations}), `event: end` ({found, usage, model, is_cut, warnings, took_ms}); or `event: error` ({code, "
        "detail}) as the last one. A comment every 15 s of silence."
    ),
}

_ANSWERS: Final = (Answer(description="The answer.", structs=(AnswerBody,), others={EVENT_STREAM: _EVENTS}),)

_PROBLEMS: Final = (
    SEARCHED
    | GONE
    | {
        ProblemCode.NO_LANGUAGE_MODEL,
        ProblemCode.LANGUAGE_MODEL_REJECTED,
        ProblemCode.LANGUAGE_MODEL_UNAVAILABLE,
    }
)

OPERATIONS: Final[Mapping[str, Operation]] = {
    "answer_question": Operation(
        summary="Ask a knowledge base",
        description=(
            "An answer out of the documents, by the configured language model, with numbered citations that resolve to "
            "passages. Where the documents do not answer it says so. Closing the connection ends the call."
        ),
        tag=Tag.SEARCH,
        body=JsonBody(
            struct=AnswerRequest,
            examples={
                "plain": {"question": "how is the millstone dressed?"},
                "streamed": {"question": "石磨多久检修一次？", "stream": True, "top_k": 5},
            },
        ),
        is_idempotent=True,
        answers=_ANSWERS,
        problems=_PROBLEMS,
    ),
    "answer_many": Operation(
        summary="Ask several knowledge bases",
        description=(
            "One answer out of the documents of all of them, searched as by `POST /search`: each citation and passage "
            "names the knowledge base that it is of."
        ),
        tag=Tag.SEARCH,
        body=JsonBody(struct=AnswerManyRequest),
        is_idempotent=True,
        answers=_ANSWERS,
        problems=_PROBLEMS | {ProblemCode.NOT_FOUND},
    ),
}
