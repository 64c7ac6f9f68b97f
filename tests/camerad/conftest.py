"""Which camera driver passes which contract test: reported, and held against what is committed.

OBSERVATORY_CONTRACT_DRIVERS names the drivers to test (comma separated; default all): those must then be able to run.
OBSERVATORY_DRIVER_REPORT is the file to which this run's part of the matrix is written.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import driver_matrix
import pytest

_CONTRACT = "test_driver_contract.py"


def _cell(item: pytest.Item) -> tuple[str, str] | None:
    """Driver and test, if it is one of the contract."""
    spec = getattr(item, "callspec", None)
    if item.path.name != _CONTRACT or spec is None:
        return None
    driver = spec.params.get("driver", spec.params.get("driver_name"))
    if driver is None:
        return None
    others = [str(value) for name, value in spec.params.items() if name not in ("driver", "driver_name")]
    return str(driver), item.originalname + (f" {' '.join(others)}" if others else "")


class DriverMatrix:
    """A pytest plugin: collects the cells, writes the report, fails a run that breaks a promise."""

    def __init__(self) -> None:
        self.cells: driver_matrix.Matrix = {}
        self.whole = True
        self.broken: list[str] = []
        self._of_node: dict[str, tuple[str, str]] = {}

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """A run of some tests only is not asked for the others."""
        if any(_cell(item) for item in items):
            self.whole = False

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Which node is which cell."""
        self._of_node = {item.nodeid: cell for item in session.items if (cell := _cell(item)) is not None}
        if any("::" in argument for argument in session.config.args):
            self.whole = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """The worst of set-up, call and tear-down is what counts."""
        cell = self._of_node.get(report.nodeid)
        if cell is None:
            return
        driver, test = cell
        if report.failed or report.skipped or report.when == "call":
            message = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
            self.cells.setdefault(driver, {})[test] = driver_matrix.cell_of(report.outcome, message)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write and judge."""
        if not self.cells or session.config.option.collectonly:
            return
        report = os.environ.get("OBSERVATORY_DRIVER_REPORT")
        if report:
            Path(report).write_text(driver_matrix.dump(self.cells), encoding="utf-8")
        path = Path(os.environ.get("OBSERVATORY_DRIVER_MATRIX", driver_matrix.COMMITTED))
        committed = driver_matrix.load(path) if path.exists() else {}
        required = [name for name in os.environ.get("OBSERVATORY_CONTRACT_DRIVERS", "").split(",") if name]
        drivers = required or sorted(committed.keys() | self.cells.keys())
        self.broken = driver_matrix.broken_promises(committed, self.cells, drivers, self.whole, required)
        if self.broken and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what did not run, and what is broken."""
        for driver, cells in sorted(self.cells.items()):
            why = driver_matrix.absence(cells)
            if why is not None:
                terminalreporter.write_line(f"camera driver {driver} not run here: {why}")
        if self.cells and not self.whole:
            terminalreporter.write_line("camera drivers: only some contract tests were selected, missing ones are not judged")
        if self.broken:
            terminalreporter.section("the committed driver matrix is not kept", red=True)
            for line in self.broken:
                terminalreporter.write_line(line)


def pytest_configure(config: pytest.Config) -> None:
    """Registered once, however often this file is loaded."""
    if not config.pluginmanager.has_plugin("driver-matrix"):
        config.pluginmanager.register(DriverMatrix(), "driver-matrix")
