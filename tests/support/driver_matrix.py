"""Camera driver x contract test: what a run showed, what the committed matrix promises, and whether the run keeps it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

COMMITTED = Path(__file__).parents[1] / "camerad" / "driver-matrix.json"
PASSED, FAILED = "passed", "failed"
NOT_OFFERED, NOT_BY_STACK, NOT_HERE = "not offered by this driver", "not by this stack", "not run here"
REASONS = (NOT_OFFERED, NOT_BY_STACK, NOT_HERE)


@dataclass(frozen=True)
class Cell:
    """What became of a test on a driver, and why."""

    outcome: str
    why: str = ""


Matrix = dict[str, dict[str, Cell]]  # driver -> test -> cell


def not_offered(why: str) -> NoReturn:
    """The driver's own capabilities say that there is nothing to test."""
    pytest.skip(f"{NOT_OFFERED}: {why}")


def not_by_stack(why: str) -> NoReturn:
    """The driver could, but the stack under it here does not."""
    pytest.skip(f"{NOT_BY_STACK}: {why}")


def not_here(why: str) -> NoReturn:
    """This whole driver cannot run here."""
    pytest.skip(f"{NOT_HERE}: {why}")


def cell_of(outcome: str, message: str) -> Cell:
    """From pytest's outcome and skip message; a skip of any other kind counts as not run here."""
    if outcome != "skipped":
        return Cell(outcome)
    message = message.removeprefix("Skipped: ")
    for reason in REASONS:
        if message.startswith(f"{reason}: "):
            return Cell(reason, message.removeprefix(f"{reason}: "))
    return Cell(NOT_HERE, message)


def load(path: Path) -> Matrix:
    """From a report, or the committed matrix."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return {driver: {test: Cell(**cell) for test, cell in cells.items()} for driver, cells in content.items()}


def dump(matrix: Matrix) -> str:
    """As JSON, sorted, so that a change is a small difference."""
    plain = {d: {t: {"outcome": c.outcome, "why": c.why} for t, c in cells.items()} for d, cells in matrix.items()}
    return json.dumps(plain, indent=1, sort_keys=True) + "\n"


def merged(reports: Iterable[Matrix]) -> Matrix:
    """Of several runs: for each driver the run in which it could run, else any."""
    found: Matrix = {}
    for report in reports:
        for driver, cells in report.items():
            if driver not in found or absence(found[driver]) is not None:
                found[driver] = cells
    return found


def absence(cells: dict[str, Cell]) -> str | None:
    """Why none of a driver's tests ran, if that is one reason for all of them."""
    reasons = {cell.why for cell in cells.values()}
    alone = bool(cells) and len(reasons) == 1 and all(cell.outcome == NOT_HERE for cell in cells.values())
    return reasons.pop() if alone else None


def broken_promises(committed: Matrix, run: Matrix, drivers: Iterable[str], whole: bool, required: Iterable[str]) -> list[str]:
    """What the committed matrix calls passed and this run did not pass, one line each.

    `drivers` are those this run was to test; `whole` says that nothing was deselected, so that a missing cell is one too.
    A driver that could not run at all, for one reason, is excused unless it is in `required`.
    """
    lines = []
    for driver in drivers:
        cells = run.get(driver, {})
        if absence(cells) is not None and driver not in required:
            continue
        for test, promised in sorted(committed.get(driver, {}).items()):
            if promised.outcome != PASSED:
                continue
            cell = cells.get(test)
            if cell is None:
                if whole:
                    lines.append(f"{driver}: {test} passed once, and is missing in this run")
            elif cell.outcome != PASSED:
                lines.append(f"{driver}: {test} passed once, now {cell.outcome}" + (f" ({cell.why})" if cell.why else ""))
    return lines


def markdown(matrix: Matrix) -> str:
    """The table of docs/camera-drivers.md."""
    drivers = sorted(matrix)
    tests = sorted({test for cells in matrix.values() for test in cells})
    notes: dict[str, int] = {}
    rows = []
    for test in tests:
        words = []
        for driver in drivers:
            cell = matrix[driver].get(test)
            word = "not tested" if cell is None else cell.outcome
            if cell is not None and cell.why:
                word += f" [{notes.setdefault(cell.why, len(notes) + 1)}]"
            words.append(word)
        rows.append(f"| {test.removeprefix('test_').replace('_', ' ')} | {' | '.join(words)} |")
    head = f"| test | {' | '.join(drivers)} |\n|---|{'---|' * len(drivers)}"
    why = "\n".join(f"{number}. {text}" for text, number in notes.items())
    return "\n".join([head, *rows]) + f"\n\n{why}\n"
