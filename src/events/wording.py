"""In which schema version a fact is written: the oldest that has words for it, so that older programs read on.

A new member of an enumeration is a word that older programs cannot read: the whole fact would be damaged to them, and
damage is passed over. Under a version of its own it is a newer program's, and they leave the document alone (ADR 17).
Facts that need no new word stay what they were.
"""

from typing import Final

from msgspec import UNSET

from events import document as d
from events import knowledge_base as k
from events import task as t
from events.envelope import Fact
from events.steps import Step
from events.upcasters import current_version

NEW_STEPS: Final = frozenset({Step.FETCH, Step.REVISE})


def written_version(fact: Fact) -> int:
    """The schema version that goes with the fact."""
    match fact:
        case d.StepStarted(step=step) | d.StepFailed(step=step) | d.DocumentFailed(step=step):
            return 2 if step in NEW_STEPS else 1
        case d.ReprocessingRequested(from_step=step, chunking=chunking):
            # Whoever passed over the chunking would cut the document as its knowledge base says.
            return 3 if chunking is not UNSET else 2 if step in NEW_STEPS else 1
        case t.TaskSubmitted(source=source):
            return 2 if source is t.TaskSource.OBJECT else 1
        case k.IndexGenerationStarted(settings=settings):
            # Whoever passed over other settings would embed into the new index with the old model.
            return 1 if settings is None else 2
        case _:
            return current_version(type(fact).__name__)
