"""How the long-lived roles start, and what they do not import."""

import subprocess
import sys

from millstream.collecting import COLLECTED_AFTER

LOOKS: str = """
import asyncio, gc, sys
from millstream import api_server, bootstrap, roles
from millstream.settings import Settings

async def look(*_arguments, **_named):
    print("found", *gc.get_threshold(), gc.get_freeze_count())

api_server.serve_api = bootstrap.running_worker = bootstrap.running_projector = look
roles._leave = lambda: None
roles.configure_logging = lambda *_arguments, **_named: None
for start, named in (
    (roles.run_api, {"listen_fd": None}),
    (roles.run_worker, {"name": "w", "steps": "parse"}),
    (roles.run_projector, {}),
):
    gc.unfreeze()
    gc.set_threshold(700)
    start(Settings(), supervised=False, **named)
"""


def test_every_role_that_serves_for_long_keeps_what_is_there_at_its_start_from_the_collector() -> None:
    done = subprocess.run([sys.executable, "-c", LOOKS], capture_output=True, text=True, check=True, timeout=60)
    looks = [list(map(int, line.split()[1:])) for line in done.stdout.splitlines() if line.startswith("found ")]
    assert len(looks) == 3, done.stdout
    for *threshold, frozen in looks:
        assert tuple(threshold) == COLLECTED_AFTER
        assert frozen > 10_000


def test_nobody_pays_for_grpc_who_does_not_serve_it() -> None:
    program = "import sys, millstream.app, millstream.cli; print('grpc' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
