"""Calls that wait for their turn, or for the disk, and are cancelled or stopped meanwhile: they are not done."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import waiting
from gpio_bench import Bench

from observatory_common.access import Caller
from observatory_common.directory import Directory
from observatory_common.errors import Stopped
from observatory_common.jobs import Job, JobTable
from observatory_common.service import Context
from observatory_common.storage import StateFile
from observatory_gpiod.calls import Calls
from observatory_gpiod.config import GpiodConfig
from observatory_gpiod.devices.base import Device, Position
from observatory_gpiod.devices.declared import declared
from observatory_gpiod.devices.output import Output
from observatory_gpiod.gpio import Gpio
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


class Turns:
    """The lock of a device's calls, which tells how many wait for it."""

    def __init__(self) -> None:
        self.waiting = 0
        self._lock = threading.RLock()
        self._counting = threading.Lock()

    def __enter__(self) -> None:
        with self._counting:
            self.waiting += 1
        assert self._lock.acquire(timeout=WITHIN_S)
        with self._counting:
            self.waiting -= 1

    def __exit__(self, *_: object) -> None:
        self._lock.release()


@pytest.fixture
def jobs() -> JobTable:
    return JobTable("this run")


@pytest.fixture
def elsewhere() -> Iterator[ThreadPoolExecutor]:
    """A thread for the call that is held up."""
    with ThreadPoolExecutor(2) as pool:
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


# what waits for its turn

#: What is done at once: a type, a method with its arguments.
SHORT: list[tuple[str, str, dict[str, Any]]] = [
    ("LED", "on", {}),
    ("LED", "toggle", {}),
    ("PWMLED", "value", {"value": 0.5}),
    ("RGBLED", "on", {}),
    ("TonalBuzzer", "play", {}),
    ("Motor", "forward", {}),
    ("Motor", "value", {"value": -1}),
    ("AngularServo", "angle", {"angle": 20}),
    ("AngularServo", "zero", {}),
    ("ServoPWM", "detach", {}),
    ("ServoPWM", "max", {}),  # goes on, but its pulses change at once
    ("StepperMotor", "set_position", {"angle": 90}),
    ("StepperMotor", "rotate", {"angle": 90}),
]


def ready_to_wait(bench: Bench, type: str) -> tuple[Device, Turns]:
    """A device that has something to lose, and the lock on which its calls wait."""
    device = bench.open(type, Position(10.0), **({"on_start": "keep"} if "Servo" in type else {}))
    turns = Turns()
    device._calls = turns  # type: ignore[assignment]
    bench.clear()
    return device, turns


def until_waiting(turns: Turns, count: int) -> None:
    waiting.until(lambda: turns.waiting == count, WITHIN_S, f"{count} calls that wait")


def all_off(device: Device) -> None:
    assert isinstance(device, Output)
    device.switch_off("all_off")


@pytest.fixture
def set_by() -> list[tuple[str, str]]:
    """Who changed which device."""
    return []


@pytest.fixture
def calls(jobs: JobTable, tmp_path: Path, set_by: list[tuple[str, str]]) -> Calls:
    journal = Journal(StateFile(tmp_path / "journal.json"), "this run")
    return Calls(jobs, journal, lambda device, by: set_by.append((device, by)))


@pytest.mark.parametrize(("type", "method", "arguments"), SHORT, ids=lambda x: str(x)[:30])
def test_a_waiting_call_that_is_cancelled_is_not_done(
    type: str,
    method: str,
    arguments: dict[str, Any],
    jobs: JobTable,
    calls: Calls,
    set_by: list[tuple[str, str]],
    elsewhere: ThreadPoolExecutor,
    bench: Bench,
) -> None:
    device, turns = ready_to_wait(bench, type)
    before = device.state()
    with turns:  # somebody else's call is being done
        asked = elsewhere.submit(calls.call_once, device, method, arguments, "me", "once")
        until_waiting(turns, 1)
        job = jobs.with_request("once")
        assert job is not None
        job.cancel()
    assert asked.result(WITHIN_S).to_wire()["state"] == "stopped"
    assert device.state() == before and bench.events == [] and set_by == []
    assert all(len(pin.states) == 1 for pin in bench.factory.pins.values())
    assert calls.call_once(device, method, arguments, "me", "once") is job, "nor is it done when it is asked for again"
    assert bench.events == []


def test_what_runs_goes_on_if_the_call_that_waits_for_its_turn_is_cancelled(
    jobs: JobTable, calls: Calls, elsewhere: ThreadPoolExecutor, bench: Bench
) -> None:
    lamp, turns = ready_to_wait(bench, "LED")
    first = calls.call(lamp, "on", {"duration": 60}, "me")
    with turns:
        asked = elsewhere.submit(calls.call_once, lamp, "off", {}, "me", "once")
        until_waiting(turns, 1)
        calls.call_once(lamp, "off", {}, "me", "once").cancel()
    assert asked.result(WITHIN_S).state == "stopped"
    assert first is not None and first.state == "running" and bench.pin(4).state == 1


def test_a_call_cancelled_while_it_waits_for_the_end_of_what_ran_leaves_the_device_off(
    jobs: JobTable, calls: Calls, elsewhere: ThreadPoolExecutor, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    lamp, _ = ready_to_wait(bench, "LED")
    first = calls.call(lamp, "on", {"duration": 60}, "me")
    point = HeldUp()
    end_task = Output._end_task

    def end_slowly(self: Output, within_s: float = WITHIN_S) -> None:
        end_task(self, within_s)
        point.hold()

    with monkeypatch.context() as patch:
        patch.setattr(Output, "_end_task", end_slowly)
        asked = elsewhere.submit(calls.call_once, lamp, "on", {}, "me", "once")
        try:
            assert point.reached.wait(WITHIN_S)
            calls.call_once(lamp, "on", {}, "me", "once").cancel()
        finally:
            point.let_go.set()
        assert asked.result(WITHIN_S).state == "stopped"
    assert first is not None and first.state == "stopped"
    assert bench.values() == [1, 0] and lamp.state()["running"] is None


def test_who_cancels_a_call_that_waits_has_not_set_the_device(
    elsewhere: ThreadPoolExecutor, bench: Bench, tmp_path: Path
) -> None:
    lamp, _ = declared({"id": "lamp", "type": "LED", "pin": 4})
    assert lamp is not None
    config = GpiodConfig("test", "test", (), None, (), None, "simulated", None, None, (lamp,))
    gpio = Gpio(config, Context("test", "this run", tmp_path, Directory({}, {}), "0"))
    device, turns = gpio._rig.devices["lamp"], Turns()
    device.open(bench.factory)
    device._calls = turns  # type: ignore[assignment]
    one, other = (Caller(address, frozenset(), frozenset()) for address in ("10.0.0.1", "10.0.0.2"))
    try:
        gpio.call(one, "lamp", "blink", {"on_time": 60})
        with turns:
            asked = elsewhere.submit(gpio.call, other, "lamp", "on", request_id="once")
            until_waiting(turns, 1)
            waits = gpio.jobs.with_request("once")
            assert waits is not None
            gpio.cancel(other, waits.id)
        assert (asked.result(WITHIN_S) or {})["state"] == "stopped"
        seen = gpio.state("lamp")
        assert (seen["running"], seen["set_by"]) == ("blink", str(one))
        gpio.cancel(other, seen["job"])
        waiting.until(lambda: gpio.state("lamp")["job"] is None, WITHIN_S, "the end of the blinking")
        assert gpio.state("lamp")["set_by"] == str(other)
    finally:
        gpio.close(WITHIN_S)


@pytest.mark.parametrize("end", [lambda device: device.stop(), all_off], ids=["stop", "all_off"])
@pytest.mark.parametrize("request_id", [None, "once"])
@pytest.mark.parametrize(("type", "method", "arguments"), SHORT, ids=lambda x: str(x)[:30])
def test_a_stop_overtakes_the_calls_that_wait(
    type: str,
    method: str,
    arguments: dict[str, Any],
    request_id: str | None,
    end: Callable[[Device], None],
    calls: Calls,
    elsewhere: ThreadPoolExecutor,
    bench: Bench,
) -> None:
    device, turns = ready_to_wait(bench, type)
    with turns:
        asked: Future[Any]
        if request_id is None:
            asked = elsewhere.submit(calls.call, device, method, arguments, "me")
        else:
            asked = elsewhere.submit(calls.call_once, device, method, arguments, "me", request_id)
        until_waiting(turns, 1)
        stopping = elsewhere.submit(end, device)
        until_waiting(turns, 2)
    stopping.result(WITHIN_S)
    if method == "detach":  # only makes it safer: it is done
        asked.result(WITHIN_S)
        assert bench.values() == [None]
    else:
        if request_id is not None:
            assert asked.result(WITHIN_S).state == "stopped"
        else:
            with pytest.raises(Stopped, match=f"it was stopped before it could {method}, which was not done"):
                asked.result(WITHIN_S)
        assert {data.get("cause") for _, data in bench.events} <= {"stop", "all_off"}
        assert device.state()["running"] is None
    device.call(method, arguments)  # what is asked for after a stop is done
