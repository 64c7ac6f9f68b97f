"""Outputs that must not be on for long: switched off whatever became of the call."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
import waiting
from gpio_bench import TOLERANCE, Bench, assert_history, ended, history

from observatory_common.errors import CommandFailed


def test_max_on_time_switches_off_and_says_so(bench: Bench, machine_lag: Any) -> None:
    device = bench.open("LED", max_on_time=0.2)
    assert device.state()["off_in_s"] is None
    bench.clear()
    device.call("on", {})
    assert 0 < device.state()["off_in_s"] <= 0.2
    waiting.until(lambda: "auto_off" in bench.names(), 5, "auto_off")
    assert_history(bench.pin(4), [0, 1, (0.2, 0)], machine_lag.seconds)
    assert bench.names() == ["changed", "changed", "auto_off"]
    assert device.state()["off_in_s"] is None


def test_max_on_time_holds_through_calls_that_keep_it_on(bench: Bench, machine_lag: Any) -> None:
    device = bench.open("PWMLED", max_on_time=0.5)
    bench.clear()
    device.call("on", {})
    until_s = time.monotonic() + 0.3  # a call after the deadline would be a new one
    while time.monotonic() < until_s:
        device.call("value", {"value": 0.5})
        device.call("blink", {"on_time": 10})
    waiting.until(lambda: "auto_off" in bench.names(), 5, "auto_off")
    assert device.state()["running"] is None and not device.state()["active"]
    first_on = history(bench.pin(4))[1:]
    assert sum(seconds for seconds, _ in first_on[1:]) == pytest.approx(0.5, abs=TOLERANCE + machine_lag.seconds)


def test_who_switches_off_and_on_as_the_time_ends_has_the_whole_time_again(bench: Bench) -> None:
    device = bench.open("LED", max_on_time=0.5)
    bench.clear()
    device.call("on", {})
    with device._calls:  # a call goes on as the time ends
        waiting.until(lambda: device.state()["off_in_s"] == 0, 5, "the end of the time")
        device.call("off", {})
        device.call("on", {})
        on_s = time.monotonic()
    waiting.until(lambda: "auto_off" in bench.names(), 5, "auto_off")
    assert time.monotonic() - on_s >= 0.5
    assert bench.names().count("changed") == 4 and bench.names()[-1] == "auto_off"


def test_max_on_time_holds_although_the_call_raised(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    device = bench.open("RGBLED", max_on_time=0.2)
    with monkeypatch.context() as patch:
        original = bench.pin(5)._change_state
        failures = [OSError(5, "Input/output error"), OSError(5, "again")]

        def broken(value: float) -> Any:
            if failures:
                raise failures.pop()
            return original(value)

        patch.setattr(bench.pin(5), "_change_state", broken)
        with pytest.raises(CommandFailed):
            device.call("on", {})
        assert bench.pin(4).state == 1, "the first part is on"
        waiting.until(lambda: "auto_off" in bench.names(), 5, "auto_off, at the second attempt")
    assert "auto_off_failed" in bench.names()
    assert [bench.pin(pin).state for pin in (4, 5, 6)] == [0, 0, 0]


@pytest.mark.parametrize("start", ["on", "keep"])
def test_max_on_time_counts_from_the_start(start: str, bench: Bench) -> None:
    bench.pin(4).drive_high()
    device = bench.open("OutputDevice", on_start=start, max_on_time=0.5)
    assert device.state()["value"] == 1
    waiting.until(lambda: bench.pin(4).state == 0, 5, "auto-off")
    waiting.until(lambda: "auto_off" in bench.names(), 5, "the event")


def test_blinking_is_no_longer_on_than_a_blink(bench: Bench) -> None:
    device = bench.open("LED", max_on_time=0.5)  # far longer than a blink, and shorter than all of them
    ended(device.call("blink", {"on_time": 0.05, "off_time": 0.05, "n": 12}))
    assert "auto_off" not in bench.names()


def test_nothing_of_the_real_clock_is_needed_to_catch_up() -> None:
    """A machine that slept, or a process that was stopped: the deadline is absolute."""
    from observatory_gpiod.devices.auto_off import AutoOff

    now = [1000.0]
    switched: list[float] = []
    done: list[Callable[[], None]] = []
    auto_off = AutoOff("it", 3600, lambda: (switched.append(now[0]), done[0]()), lambda _: None, clock=lambda: now[0])
    done.append(auto_off.disarm)
    try:
        auto_off.arm()
        now[0] += 3599
        auto_off.arm()
        assert auto_off.remaining_s == 1
        now[0] += 5000
        waiting.until(lambda: switched, 3, "the switch")
        assert switched == [9599.0] and auto_off.remaining_s is None
    finally:
        auto_off.close()


CHILD = """
import threading
import time
from gpiozero.pins.mock import MockFactory
from observatory_gpiod.devices.base import Hooks
from observatory_gpiod.devices.declared import declared
from observatory_gpiod.devices.making import make
config, _ = declared({"id": "it", "type": "LED", "pin": 4, "max_on_time": 0.6})
factory = MockFactory()
off = threading.Event()
device = make(config, Hooks(on_event=lambda id, name, data: off.set() if data.get("cause") == "auto_off" else None))
device.open(factory)
device.call("on", {})
began_s = time.monotonic()
print("on", flush=True)
assert off.wait(10) and device.state()["value"] == 0
print(time.monotonic() - began_s, flush=True)
device.close()
"""


@pytest.mark.parametrize("stopped_s", [0.3, 1.0])
def test_max_on_time_holds_although_the_process_was_stopped(stopped_s: float, machine_lag: Any) -> None:
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    child = subprocess.Popen([sys.executable, "-c", CHILD], env=env, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None and child.stdout.readline() == "on\n"
        child.send_signal(signal.SIGSTOP)
        began_s = time.monotonic()
        waiting.until(lambda: time.monotonic() - began_s > stopped_s, 5, "the standstill")
        child.send_signal(signal.SIGCONT)
        took_s = float(child.stdout.readline())
        assert max(0.6, stopped_s) <= took_s + TOLERANCE
        assert took_s < max(0.6, stopped_s) + 2 * TOLERANCE + machine_lag.seconds
        assert child.wait(5) == 0
    finally:
        child.kill()
        child.wait(5)
        if child.stdout is not None:
            child.stdout.close()
