"""`kill -9` a hundred times while a sequence is taken: how many pictures are there, whole, once."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import sequences
from cameras import FAST, Camerad
from tables import Table

KILLS = 100
FRAMES = 1000


def run() -> list[Table]:
    """The table. A picture that is torn, missing or there twice ends it with an AssertionError."""
    table = Table(
        f"A sequence of {FRAMES} pictures, killed {KILLS} times",
        "what was asked for",
        "Each time camerad is started again and resumes by itself; the ratio is pictures asked for to pictures whole.",
    )
    with tempfile.TemporaryDirectory() as folder:
        camerad = Camerad(Path(folder), **FAST)
        began = time.monotonic()
        try:
            sequences.outlive_kills(camerad, KILLS, FRAMES)
        finally:
            camerad.end()
        table.add("pictures after the kills", f"{FRAMES} of {FRAMES} whole, {time.monotonic() - began:.0f} s", 1.0, 1.0)
    return [table]
