"""What a process uses, and letting time pass."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def pause(seconds: float) -> None:
    """Let the time pass in which something is measured."""
    threading.Event().wait(seconds)


def cpu_s(pid: int) -> float:
    """All the processor time that a process has used, by its own clock."""
    return time.clock_gettime((~pid << 3) | 2)  # CPUCLOCK_SCHED of the process, as clock_getcpuclockid(3) makes it


def memory_mib(pid: int) -> float:
    """Its resident memory."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no Rss")


@contextmanager
def bound(processor: int) -> Iterator[None]:
    """What this thread does, and starts, runs on one processor for as long as the context lasts."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {processor})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)
