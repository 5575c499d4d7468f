"""The archive over the client's connection: what it holds, archive now, verify."""

from collections.abc import Iterator

import httpx_sse
import msgspec

from millstream.client_http import BROKEN, Http
from millstream.errors import ExitCode, Stop
from projections.archive_overview import ArchiveOverview, Asked
from projections.routes_archive import Verified, VerifyDamage, VerifyFailed, VerifyProgress

VerifyNews = VerifyProgress | VerifyDamage | Verified


class ArchiveCalls:
    """Every call asks for a key of the scope `admin` and raises Stop, as those of `Client` do."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def overview(self) -> ArchiveOverview:
        return self._http.get("/archive", ArchiveOverview)

    def now(self, *, idempotency_key: str | None = None) -> Asked:
        """Returns at once; `waiting_events` of the overview says how far the projector is with it."""
        return self._http.post("/archive/now", Asked, idempotency_key=idempotency_key)

    def verify(self, partition: int | None = None) -> Iterator[VerifyNews]:
        """One partition, or all: progress and damage as they come, Verified as the last. Raises Stop: also where it
        breaks off."""
        params = {} if partition is None else {"partition": partition}
        try:
            with self._http.stream("/archive/verify", {}, method="POST", params=params) as source:
                for event in source.iter_sse():
                    news = _news(event)
                    if news is not None:
                        yield news
                    if isinstance(news, Verified):
                        return
        except BROKEN as error:
            raise self._http.unreachable(error) from None
        raise Stop("the verification broke off", hint="verify again", exit_code=ExitCode.FAILED_WORK)


def _news(event: httpx_sse.ServerSentEvent) -> VerifyNews | None:
    match event.event:
        case "progress":
            return msgspec.json.decode(event.data, type=VerifyProgress)
        case "damage":
            return msgspec.json.decode(event.data, type=VerifyDamage)
        case "end":
            return msgspec.json.decode(event.data, type=Verified)
        case "error":
            failure = msgspec.json.decode(event.data, type=VerifyFailed)
            raise Stop(failure.detail, hint=failure.code, exit_code=ExitCode.UNREACHABLE)
        case _:
            return None
