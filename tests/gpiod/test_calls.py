"""Calls with a request id, which can be cancelled as soon as their job can be seen."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import waiting
from gpio_bench import Bench

from observatory_common.jobs import Job, JobTable
from observatory_common.storage import StateFile
from observatory_gpiod.calls import Calls
from observatory_gpiod.devices.base import Device
from observatory_gpiod.devices.output import Output
from observatory_gpiod.journal import Journal

WITHIN_S = 5.0
FORWARD = {"duration": 60}


class HeldUp:
    """A point that is passed only when it is let go."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.let_go = threading.Event()

    def hold(self) -> None:
        self.reached.set()
        assert self.let_go.wait(WITHIN_S)


class SlowDisk(StateFile):
    """A state file whose disk takes its time."""

    def __init__(self, path: Path, point: HeldUp) -> None:
        super().__init__(path)
        self._point = point

    def save(self, state: dict[str, Any]) -> None:
        self._point.hold()
        super().save(state)


@pytest.fixture
def jobs() -> JobTable:
    return JobTable("this run")


@pytest.fixture
def elsewhere() -> Iterator[ThreadPoolExecutor]:
    """A thread for the call that is held up."""
    with ThreadPoolExecutor(1) as pool:
        yield pool


def cancelled_at(point: HeldUp, calls: Calls, jobs: JobTable, motor: Device, elsewhere: ThreadPoolExecutor) -> Job:
    """The job of a motor that was to run for a minute, cancelled by who asks again at a point before it runs."""
    first = elsewhere.submit(calls.call_once, motor, "forward", FORWARD, "me", "once")
    try:
        assert point.reached.wait(WITHIN_S)
        calls.call_once(motor, "forward", FORWARD, "me", "once").cancel()
    finally:
        point.let_go.set()
    job = first.result(WITHIN_S)
    waiting.until(lambda: job.state != "running", WITHIN_S, "the end of the job")
    return job


def test_a_call_cancelled_before_it_is_written_down_moves_nothing(
    jobs: JobTable, elsewhere: ThreadPoolExecutor, bench: Bench, tmp_path: Path
) -> None:
    motor = bench.open("Motor")
    bench.clear()
    point = HeldUp()
    calls = Calls(jobs, Journal(SlowDisk(tmp_path / "journal.json", point), "this run"))
    assert cancelled_at(point, calls, jobs, motor, elsewhere).state == "stopped"
    assert len(bench.pin(4).states) == 1 and bench.events == []


def test_a_call_cancelled_while_it_waits_for_its_turn_does_not_go_on(
    jobs: JobTable, elsewhere: ThreadPoolExecutor, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    motor = bench.open("Motor")
    point = HeldUp()
    end_task = Output._end_task

    def end_slowly(self: Output, within_s: float = WITHIN_S) -> None:
        point.hold()
        end_task(self, within_s)

    calls = Calls(jobs, Journal(StateFile(tmp_path / "journal.json"), "this run"))
    with monkeypatch.context() as patch:
        patch.setattr(Output, "_end_task", end_slowly)
        assert cancelled_at(point, calls, jobs, motor, elsewhere).state == "stopped"
    assert bench.pin(4).state == 0 and motor.state()["running"] is None
