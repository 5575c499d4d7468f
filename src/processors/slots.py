"""A delivery may leave its slot before it is over: for what it does elsewhere, another one can begin."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Final


def _stay() -> None:
    """Outside of a runner there is no slot."""


leave_by: Final[ContextVar[Callable[[], None]]] = ContextVar("leave_by", default=_stay)
"""Set by the runner in the context of each delivery that it carries out."""


def leave_slot() -> None:
    """Lets the runner of the delivery at hand begin another one in its place. Whoever calls it sees to it that not too
    many are under way."""
    leave_by.get()()
