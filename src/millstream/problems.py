"""Problem documents for the errors of packages that `ingest` may not know."""

from collections.abc import Callable, Mapping
from typing import Any

from ingest.problems import Flaw, Problem, ProblemCode, problem
from projections.errors import ArchiveNotKept, InvalidCursor, InvalidQuery, TooManyStreams, VerifiedAlready


def _of_query(error: InvalidQuery) -> Problem:
    flaw = Flaw(error.pointer, error.message)
    return problem(ProblemCode.VALIDATION_FAILED, flaw.told(), errors=(flaw,))


def _of_cursor(_error: InvalidCursor) -> Problem:
    return problem(ProblemCode.BAD_CURSOR, "The cursor is not one of this list; start again without it.")


def _of_streams(error: TooManyStreams) -> Problem:
    return problem(ProblemCode.DEPENDENCY_UNAVAILABLE, str(error))


def _of_no_archive(_error: ArchiveNotKept) -> Problem:
    return problem(
        ProblemCode.ARCHIVE_NOT_KEPT, "MILLSTREAM_ARCHIVE is off: the log keeps everything. Switch it on to archive."
    )


def _of_verification(_error: VerifiedAlready) -> Problem:
    return problem(
        ProblemCode.ARCHIVE_BUSY, "Somebody is verifying the archive at this moment; wait until that is done."
    )


PROJECTION_PROBLEMS: Mapping[type[Exception], Callable[[Any], Problem]] = {
    InvalidQuery: _of_query,
    InvalidCursor: _of_cursor,
    TooManyStreams: _of_streams,
    ArchiveNotKept: _of_no_archive,
    VerifiedAlready: _of_verification,
}
