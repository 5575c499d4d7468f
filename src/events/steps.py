"""The steps of the mill and the lanes that lead to them."""

from enum import StrEnum


class Step(StrEnum):
    """A stage of processing with an inbox of its own."""

    FETCH = "fetch"
    PARSE = "parse"
    CHUNK = "chunk"
    EMBED = "embed"
    INDEX = "index"
    FINISH = "finish"
    CALLBACK = "callback"
    ERASE = "erase"
    REVISE = "revise"


class Lane(StrEnum):
    """Interactive work goes before bulk work, so that an import of 10,000 files never delays one small upload."""

    INTERACTIVE = "interactive"
    BULK = "bulk"
