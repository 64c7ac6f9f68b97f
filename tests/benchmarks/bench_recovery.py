"""`kill -9` in mid-move, a hundred times in each way: how often what focusd says afterwards is true."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import observatory
import recovery
from tables import Table

from observatory_focusd import protocol

TIMES = 100
FAST = {"speed_factor": 50, "steps_per_s": 50 * protocol.FIRMWARE_2022.steps_per_s}


def run() -> list[Table]:
    """The table. Any untruth ends it with an AssertionError."""
    table = Table(
        f"`kill -9` in mid-move, {TIMES} times in each way",
        "what the controller and the motor really did",
        "Each time focusd is started again and its status compared with the truth; the ratio is right answers to all.",
    )
    for name, way in recovery.WAYS.items():
        with tempfile.TemporaryDirectory() as folder, observatory.daemon(Path(folder), **FAST) as daemon:
            began = time.monotonic()
            way(daemon, TIMES)
            table.add(name, f"{TIMES} of {TIMES} right, {(time.monotonic() - began) / TIMES:.2f} s each", 1.0)
    return [table]
