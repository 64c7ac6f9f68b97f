"""The gate that keeps the driver matrix: what passed once must not be skipped or forgotten."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import driver_matrix
import pytest
from driver_matrix import FAILED, NOT_BY_STACK, NOT_HERE, NOT_OFFERED, PASSED, Cell

ROOT = Path(__file__).parents[2]
COMMITTED = {"a": {"one": Cell(PASSED), "two": Cell(PASSED), "three": Cell(NOT_OFFERED, "has none")}}


def broken(run: driver_matrix.Matrix, whole: bool = True, required: tuple[str, ...] = ()) -> list[str]:
    return driver_matrix.broken_promises(COMMITTED, run, ["a"], whole, required)


def test_a_run_that_keeps_everything_breaks_nothing() -> None:
    assert broken(COMMITTED) == []
    assert broken({"a": {"one": Cell(PASSED), "two": Cell(PASSED), "three": Cell(PASSED)}}) == []


@pytest.mark.parametrize("outcome", [FAILED, NOT_OFFERED, NOT_BY_STACK, NOT_HERE])
def test_what_passed_once_must_pass(outcome: str) -> None:
    lines = broken({"a": {"one": Cell(PASSED), "two": Cell(outcome, "because"), "three": Cell(NOT_OFFERED, "has none")}})
    assert lines == [f"a: two passed once, now {outcome} (because)"]


def test_a_missing_cell_breaks_a_whole_run_only() -> None:
    run = {"a": {"one": Cell(PASSED)}}
    assert broken(run) == ["a: two passed once, and is missing in this run"]
    assert broken(run, whole=False) == []
    assert len(broken({})) == 2


def test_a_whole_driver_may_be_absent_unless_it_was_asked_for() -> None:
    absent = {"a": {name: Cell(NOT_HERE, "no library") for name in ("one", "two", "three")}}
    assert broken(absent) == []
    assert len(broken(absent, required=("a",))) == 2
    one_ran = {"a": {**absent["a"], "one": Cell(PASSED)}}
    assert len(broken(one_ran)) == 1


def test_a_skip_of_no_known_kind_counts_as_not_run() -> None:
    assert driver_matrix.cell_of("skipped", "Skipped: not offered by this driver: none") == Cell(NOT_OFFERED, "none")
    assert driver_matrix.cell_of("skipped", "Skipped: tired") == Cell(NOT_HERE, "tired")


def test_the_page_is_made_from_the_matrix() -> None:
    page = subprocess.run(
        [sys.executable, "etc/make/camera-drivers", "--print"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    ).stdout
    assert page == (ROOT / "docs" / "camera-drivers.md").read_text(), "run: make camera-drivers"


@pytest.mark.parametrize(
    ("test", "complaint"),
    [
        ("test_autofocus_ends_in_a_result", "now not offered by this driver"),
        ("test_that_somebody_has_deleted", "missing in this run"),
    ],
)
def test_a_run_that_breaks_the_matrix_fails(test: str, complaint: str, tmp_path: Path) -> None:
    matrix, report = tmp_path / "matrix.json", tmp_path / "report.json"
    matrix.write_text(driver_matrix.dump({"v4l2-file": {test: Cell(PASSED)}}))
    env = {
        **os.environ,
        "OBSERVATORY_CONTRACT_DRIVERS": "v4l2-file",
        "OBSERVATORY_DRIVER_MATRIX": str(matrix),
        "OBSERVATORY_DRIVER_REPORT": str(report),
    }
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/camerad/test_driver_contract.py"],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert run.returncode == 1, run.stdout + run.stderr
    assert f"v4l2-file: {test} passed once" in run.stdout
    assert complaint in run.stdout
    assert " failed" not in run.stdout  # no test failed: it is the gate
    assert driver_matrix.load(report)["v4l2-file"]["test_capabilities_are_complete"] == Cell(PASSED)
