"""`observatory status`: ask every daemon that has a config here, all at once."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from observatory_common.config import read_client_config
from observatory_common.directory import Directory
from observatory_common.errors import ObservatoryError
from observatory_common.paths import KINDS, instance_of, list_configs
from observatory_common.rpc.client import connect
from observatory_common.terminal import print_json

_AT_ONCE = 16


def show(as_json: bool, timeout_s: float | None) -> int:
    """Print a line for each daemon; returns 0 if all have answered, else the code of the first that has not."""
    configs = [(kind, path) for kind in KINDS for path in list_configs(kind)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        rows = list(pool.map(lambda config: _ask(config[0], config[1], timeout_s), configs))
    if as_json:
        for row in rows:
            print_json(row)
    else:
        _print_table(rows)
    return next((row["code"] for row in rows if row["code"]), 0)


def _ask(kind: str, path: Path, timeout_s: float | None) -> dict[str, Any]:
    row: dict[str, Any] = {"kind": kind, "instance": instance_of(path), "daemon": None, "address": None}
    try:
        name = read_client_config(path)["daemon"]
        entry = Directory.load().daemon(name)
        row.update(daemon=name, address=f"{entry.host}:{entry.port}")
        with connect(name, timeout_s=timeout_s) as daemon:
            return {**row, "code": 0, "error": None, "status": daemon.report_status()}
    except ObservatoryError as error:
        return {**row, "code": int(error.code), "error": str(error), "status": None}


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("daemon", "address", "state", "age of reading", "version", "last error", box=None, pad_edge=False)
    for row in rows:
        status = row["status"] or {}
        age_s = status.get("reading_age_s")
        state = Text(status.get("state", "no answer"), style="bold" if row["status"] else "bold red")
        table.add_row(
            f"{row['kind']}@{row['instance']}",
            row["address"] or "",
            state,
            "" if age_s is None else f"{age_s:.1f} s",
            status.get("software_version", ""),
            Text(row["error"] or status.get("last_error") or ""),
        )
    # Whoever reads a pipe wants whole lines.
    Console(width=None if sys.stdout.isatty() else 400).print(table if rows else "No daemon has a config here.")
