"""Units on a booted machine: started, back after they have died, with a thread that is frozen."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import booted
import pytest
import waiting

_FREEZE = """
import ctypes, os, sys
libc, thread = ctypes.CDLL(None, use_errno=True), int(sys.argv[1])
for request in (0x4206, 0x4207):  # PTRACE_SEIZE, PTRACE_INTERRUPT: stops this thread alone
    if libc.ptrace(request, thread, None, None) < 0:
        sys.exit(os.strerror(ctypes.get_errno()))
os.waitpid(thread, 0x40000000)  # __WALL: it has stopped
print("frozen", flush=True)
os.waitpid(thread, 0x40000000)  # it has ended
"""


def started(machine: booted.Machine, *units: str) -> None:
    """Start units; they are then active, or the journal is shown."""
    done = machine.run("systemctl", "start", *units, ok=None)
    assert done.returncode == 0, "\n".join([done.stderr, *machine.journal()[-20:]])


def again(machine: booted.Machine, unit: str, old: int, timeout_s: float) -> float:
    """Wait until a unit is active with another process than `old`; after how many seconds it was."""
    began = time.monotonic()
    waiting.until(lambda: machine.pid(unit) not in (0, old) and machine.is_active(unit), timeout_s, f"{unit} to be back")
    return time.monotonic() - began


@contextmanager
def frozen(machine: booted.Machine, pid: int, said: str) -> Iterator[None]:
    """A process of which the thread that logged `said` with its number has stopped; skips where there is no ptrace."""

    def told() -> list[str]:
        return re.findall(rf"{said} thread=(\d+)", "\n".join(machine.journal(f"_PID={pid}")))

    (thread,) = waiting.until(told, 10, "the number of the thread")
    freezer = subprocess.Popen(machine.command("/usr/bin/python3", "-c", _FREEZE, thread), stdout=subprocess.PIPE, text=True)
    try:
        assert freezer.stdout is not None
        if freezer.stdout.readline() != "frozen\n":
            pytest.skip("a thread cannot be frozen here: no ptrace")
        yield
    finally:
        freezer.kill()
        freezer.communicate()
