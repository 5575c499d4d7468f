"""What a step answers for a document that was cut for an index which nobody wants any more."""

from domain.knowledge_base import GENERATION_ENDED
from processors.step import Reject


def given_up() -> Reject:
    """It is begun again for the index that is wanted (`millstream.reworking`)."""
    return Reject(GENERATION_ENDED, "the index that this was made for was given up; it is made again for another")
