"""A task's `callback_url`: checked when it comes in, and announced before the task enters the log."""

from collections.abc import Awaitable, Callable

import msgspec
from msgspec import UNSET

from ingest.called_urls import CheckUrl, checked_url
from ingest.options import UploadOptions
from ingest.problems import invalid


class Callbacks(msgspec.Struct, frozen=True):
    """`expect` is to be called before a task with a callback enters the log: dispatchers skip what nobody asks for."""

    check_url: CheckUrl
    expect: Callable[[], Awaitable[None]]


async def refuse_callback(callbacks: Callbacks | None, options: UploadOptions) -> None:
    """Raises Rejected for a URL that would not be called."""
    if options.callback_url is UNSET:
        return
    if callbacks is None:
        raise invalid("/options/callback_url", "nothing is called back from here")
    await checked_url(callbacks.check_url, options.callback_url, "/options/callback_url")


async def expect_callback(callbacks: Callbacks | None, callback_url: str | None) -> None:
    """Raises what the log raises."""
    if callback_url is not None and callbacks is not None:
        await callbacks.expect()
