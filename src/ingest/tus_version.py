"""Every answer about resumable uploads says which version of tus is spoken, whoever gives it."""

from collections.abc import Awaitable
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ingest.resumable import VERSION

PATH: Final = "/api/v1/uploads"
REFUSED: Final = 412


class TusVersionMiddleware:
    """Stands before admission and error handlers, whose answers carry the header too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http" or not scope["path"].startswith(PATH):
            return self._app(scope, receive, send)

        def send_with_version(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Tus-Resumable"] = VERSION
                if message["status"] == REFUSED:
                    headers["Tus-Version"] = VERSION
            return send(message)

        return self._app(scope, receive, send_with_version)
