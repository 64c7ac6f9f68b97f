"""`make bench`: all benchmarks, or those named; prints their tables and keeps them in docs/benchmarks.md.

Ends with 1 if an aim was missed. `python tests/benchmarks rpc focus` runs these two; the tables of the others stay.
"""

from __future__ import annotations

import importlib
import os
import platform
import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support")]
PAGE = HERE.parents[1] / "docs" / "benchmarks.md"
ALL = (
    "rpc",
    "focus",
    "gpio",
    "ftp",
    "web_streams",
    "web_pages",
    "web_beside",
    "camera_live",
    "camera_photos",
    "camera_memory",
    "camera_frames",
    "recovery",
    "camera_recovery",
)
HEAD = """# Benchmarks

<!-- Written by `make bench`. -->

Ratios to a baseline that was measured in the same run; below 1 is better than it. The machine: {machine}.
`make bench` repeats all of it, and fails when an aim is missed; `make bench BENCH=gpio` repeats the tables of one kind.
"""


def main() -> int:
    """Run, print, keep."""
    missed = []
    for name in sys.argv[1:] or ALL:
        tables = importlib.import_module(f"bench_{name}").run()
        for table in tables:
            print(table.markdown(), flush=True)
            missed += [row.what for row in table.rows if not row.met]
        keep(name, "\n".join(table.markdown() for table in tables))
    for what in missed:
        print(f"missed its aim: {what}", file=sys.stderr)
    return 1 if missed else 0


def keep(name: str, tables: str) -> None:
    """Replace one kind's tables on the page."""
    known = dict(re.findall(r"^<!-- (\w+) -->\n\n(.*?)(?=^<!-- \w+ -->$|\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL))
    known[name] = tables.rstrip("\n") + "\n"
    machine = f"{os.cpu_count()} processors, {platform.machine()}, Python {platform.python_version()}"
    kinds = [f"\n<!-- {kind} -->\n\n{known[kind].rstrip()}\n" for kind in ALL if kind in known]
    PAGE.write_text(HEAD.format(machine=machine) + "".join(kinds))


if __name__ == "__main__":
    sys.exit(main())
