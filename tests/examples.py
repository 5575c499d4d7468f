"""How many examples Hypothesis tries of a property that has a number of its own."""

from typing import Final

from hypothesis import settings

THOROUGH: Final = 100
"""What the profile of `make test` says."""


def examples(count: int) -> int:
    """`count`, or as few as a quicker profile says: `make test-unit` has to answer soon."""
    in_profile = settings().max_examples
    return count if in_profile >= THOROUGH else min(count, in_profile)


def is_thorough() -> bool:
    """Whether what takes a second is tried too: a second implementation that is a library of its own, say."""
    return settings().max_examples >= THOROUGH
