"""The queues that empty steps are measured against: how two worker processes of each are started."""

from typing import Final

import msgspec

_MODULES: Final = "bench.peers"


class PeerQueue(msgspec.Struct, frozen=True, kw_only=True):
    """`command` is a program of the peers' environment and its arguments, started `times` times."""

    name: str
    module: str
    command: tuple[str, ...]
    times: int = 1
    jobs: int = 1_500
    """A round: a slow one gets fewer."""


QUEUES: Final = (
    PeerQueue(
        name="taskiq",
        module=f"{_MODULES}.taskiq_queue",
        command=("taskiq", "worker", f"{_MODULES}.taskiq_queue:broker", "--workers", "2", "--log-level", "ERROR"),
    ),
    PeerQueue(
        name="dramatiq",
        module=f"{_MODULES}.dramatiq_queue",
        command=("dramatiq", f"{_MODULES}.dramatiq_queue", "--processes", "2", "--threads", "8"),
    ),
    PeerQueue(name="SAQ", module=f"{_MODULES}.saq_queue", command=("saq", f"{_MODULES}.saq_queue.settings"), times=2),
    PeerQueue(
        name="streaq",
        module=f"{_MODULES}.streaq_queue",
        command=("streaq", "run", f"{_MODULES}.streaq_queue:worker"),
        times=2,
    ),
    PeerQueue(
        name="arq", module=f"{_MODULES}.arq_queue", command=("arq", f"{_MODULES}.arq_queue.WorkerSettings"), times=2
    ),
    PeerQueue(
        name="Celery",
        module=f"{_MODULES}.celery_queue",
        command=("celery", "-A", f"{_MODULES}.celery_queue", "worker", "-c", "2", "--loglevel", "ERROR"),
        jobs=600,
    ),
    PeerQueue(
        name="RQ",
        module=f"{_MODULES}.rq_queue",
        command=("rq", "worker", "--quiet", "default"),
        times=2,
        jobs=200,
    ),
)
