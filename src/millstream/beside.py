"""gRPC beside the API, where a port is named: grpcio is imported by nobody else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette

from millstream.admission.admit import Admission
from millstream.stores import Stores
from processors.observing import AttemptObserver


@asynccontextmanager
async def grpc_beside(
    app: Starlette, stores: Stores, admission: Admission, observer: AttemptObserver, stop: asyncio.Event
) -> AsyncIterator[None]:
    """Serves until the body ends; from `stop` on nothing new is begun. `app.state.grpc_port` is where, also where any
    free port was asked for. Raises Stop where the port is in use."""
    if stores.settings.grpc_port < 0:
        yield
        return
    from millstream.grpc.server import serving_grpc

    async with serving_grpc(app, stores, admission, observer, stop) as app.state.grpc_port:
        yield
