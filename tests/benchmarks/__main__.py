"""`make bench`: all benchmarks, or those named; prints their tables and keeps them in docs/benchmarks.md.

Ends with 1 if an aim was missed. `python tests/benchmarks rpc focus` runs these two and writes no page.
"""

from __future__ import annotations

import importlib
import os
import platform
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support")]
PAGE = HERE.parents[1] / "docs" / "benchmarks.md"
ALL = ("rpc", "focus", "camera_live", "camera_photos", "camera_memory", "camera_frames", "recovery", "camera_recovery")
HEAD = """# Benchmarks

<!-- Written by `make bench`. -->

Ratios to a baseline that was measured in the same run; below 1 is better than it. The machine: {machine}.
`make bench` repeats all of it, and fails when an aim is missed.

"""


def main() -> int:
    """Run, print, keep."""
    wanted = sys.argv[1:] or ALL
    tables = []
    for name in wanted:
        for table in importlib.import_module(f"bench_{name}").run():
            print(table.markdown(), flush=True)
            tables.append(table)
    if tuple(wanted) == ALL:
        machine = f"{os.cpu_count()} processors, {platform.machine()}, Python {platform.python_version()}"
        PAGE.write_text(HEAD.format(machine=machine) + "\n".join(table.markdown() for table in tables))
    missed = [row.what for table in tables for row in table.rows if not row.met]
    for what in missed:
        print(f"missed its aim: {what}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
