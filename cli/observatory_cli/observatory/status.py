"""`observatory status`: ask every daemon that has a config here, all at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from observatory_common.config import read_client_config
from observatory_common.directory import Directory
from observatory_common.errors import ObservatoryError
from observatory_common.paths import KINDS, instance_of, list_configs
from observatory_common.rpc.client import connect
from observatory_common.terminal import print_json, print_table

_AT_ONCE = 16


def show(as_json: bool, timeout_s: float | None) -> int:
    """Print a line for each daemon; returns 0 if all have answered, else the code of the first that has not."""
    rows: list[dict[str, Any]] = []
    asked: list[tuple[dict[str, Any], Path]] = []
    for kind in KINDS:
        row = {"kind": kind, "instance": None, "daemon": None, "address": None}
        try:
            asked += [({**row, "instance": instance_of(path)}, path) for path in list_configs(kind)]
        except ObservatoryError as error:
            rows.append(_refused(row, error))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        rows += pool.map(lambda one: _ask(one[0], one[1], timeout_s), asked)
    rows.sort(key=lambda row: KINDS.index(row["kind"]))
    if as_json:
        for row in rows:
            print_json(row)
    else:
        _print_table(rows)
    return next((row["code"] for row in rows if row["code"]), 0)


def _ask(row: dict[str, Any], path: Path, timeout_s: float | None) -> dict[str, Any]:
    try:
        name = read_client_config(path)["daemon"]
        entry = Directory.load().daemon(name)
        row = {**row, "daemon": name, "address": f"{entry.host}:{entry.port}"}
        with connect(name, timeout_s=timeout_s) as daemon:
            return {**row, "code": 0, "error": None, "status": daemon.report_status()}
    except ObservatoryError as error:
        return _refused(row, error)


def _refused(row: dict[str, Any], error: ObservatoryError) -> dict[str, Any]:
    return {**row, "code": int(error.code), "error": str(error), "status": None}


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table("daemon", "address", "state", "age of reading", "version", "last error", box=None, pad_edge=False)
    for row in rows:
        status = row["status"] or {}
        age_s = status.get("reading_age_s")
        state = Text(status.get("state", "no answer"), style="bold" if row["status"] else "bold red")
        table.add_row(
            f"{row['kind']}@{row['instance']}" if row["instance"] else row["kind"],
            row["address"] or "",
            state,
            "" if age_s is None else f"{age_s:.1f} s",
            status.get("software_version", ""),
            Text(row["error"] or status.get("last_error") or ""),
        )
    print_table(table if rows else "No daemon has a config here.")
