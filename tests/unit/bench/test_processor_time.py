"""Processor time of a process and of what it starts, running or over."""

import os
import subprocess
import sys

from bench.processor_time import processor_s

BURN_S = 0.1
BURNING = f"""
import time
while time.process_time() < {BURN_S}:
    pass
"""
STARTING = f"""
import subprocess, sys
subprocess.run([sys.executable, "-c", {BURNING!r}], check=True)
print("over", flush=True)
sys.stdin.read()
"""


def test_what_a_process_has_started_and_waited_for_counts_with_it() -> None:
    own_s = processor_s([os.getpid()])
    child = subprocess.Popen([sys.executable, "-c", STARTING], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"over\n"
        used_s = processor_s([child.pid])
        assert used_s >= BURN_S
        grown_s = round(processor_s([os.getpid()]) - own_s, 2)  # whole ticks: 29.27 - 29.16 is less than 0.11
        assert grown_s >= used_s, "and with whoever has started that"
        assert processor_s([os.getpid(), child.pid]) - own_s < 2 * used_s, "once, whoever names it too"
    finally:
        child.communicate()
    assert processor_s([child.pid]) == 0, "nobody has that number any more"
