"""Lines and libraries that fail at the wrong moment: nothing stays on, nothing waits for ever, nothing moves astray."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gpio_daemon
import pytest
import waiting
from following import events_named, finished
from gpio_bench import Bench
from gpio_daemon import Gpiod
from gpiozero.pins.mock import MockFactory, MockPin, MockPWMPin

from observatory_common.errors import CommandFailed, NotConnected, TimedOut, Uncertain
from observatory_gpiod.devices.auto_off import AutoOff
from observatory_gpiod.devices.base import Device, Hooks
from observatory_gpiod.devices.declared import declared
from observatory_gpiod.devices.making import make
from observatory_gpiod.devices.output import Output
from observatory_gpiod.devices.task import Task
from observatory_gpiod.rig import Rig

LAMP, RED, GREEN, BLUE = 17, 9, 10, 11
COLOUR: dict[str, Any] = {"id": "colour", "type": "RGBLED", "red": RED, "green": GREEN, "blue": BLUE, "on_start": "on"}


def refuse(pin: Any, monkeypatch: pytest.MonkeyPatch, times: int) -> list[OSError]:
    """Have a mock pin refuse so many changes; what is left of them."""
    original = pin._change_state
    failures = [OSError(5, "Input/output error") for _ in range(times)]

    def change(value: float) -> Any:
        if failures:
            raise failures.pop()
        return original(value)

    monkeypatch.setattr(pin, "_change_state", change)
    return failures


def refuse_claim(pin: Any, monkeypatch: pytest.MonkeyPatch, first: Callable[[], object] = lambda: None) -> None:
    """Have a mock pin refuse to become an output, after something else."""
    set_function = pin._set_function

    def refused(*_: object) -> None:
        first()
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(pin, "output_with_state", refused)
    monkeypatch.setattr(pin, "_set_function", lambda value: refused() if value == "output" else set_function(value))


def unopened(bench: Bench, type: str, **given: Any) -> Output:
    """A device of the bench that has not been opened."""
    config, complaints = declared({"id": "it", "type": type, **given})
    assert config is not None, complaints
    device = make(config, bench.hooks(type))
    bench.devices.append(device)
    assert isinstance(device, Output)
    return device


# opening


def test_a_deadline_that_passes_while_opening_fails_does_not_hang(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    device = unopened(bench, "RGBLED", red=4, green=5, blue=6, on_start="on", max_on_time=0.01)

    def deadline() -> None:
        waiting.until(lambda: device._auto_off is not None and device._auto_off._attempt is not None, 5, "the deadline")

    refuse_claim(bench.pin(6), monkeypatch, deadline)
    raised: list[BaseException] = []

    def open_it() -> None:
        try:
            device.open(bench.factory)
        except CommandFailed as error:
            raised.append(error)

    opening = threading.Thread(target=open_it, daemon=True)
    opening.start()
    opening.join(10)
    assert not opening.is_alive() and raised
    assert "auto_off" not in bench.names(), "it was never open"


@pytest.mark.parametrize("pwm", [False, True])
@pytest.mark.parametrize("active_high", [False, True])
def test_what_opens_half_way_is_off(pwm: bool, active_high: bool, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {"red": 4, "green": 5, "blue": 6, "pwm": pwm, "active_high": active_high}
    device = unopened(bench, "RGBLED", on_start="on", on_stop="on", **given)
    with monkeypatch.context() as patch:
        refuse_claim(bench.pin(6), patch)
        for _ in range(2):
            with pytest.raises(CommandFailed, match="it could not be opened"):
                device.open(bench.factory)
            assert [bench.pin(pin).state for pin in (4, 5)] == [float(not active_high)] * 2
            bench.clear()
        assert [state.state for pin in (4, 5) for state in bench.pin(pin).states] == [float(not active_high)] * 2, "no flicker"
    device.open(bench.factory)
    assert device.state()["value"] == [1, 1, 1]
    assert [bench.pin(pin).state for pin in (4, 5, 6)] == [float(active_high)] * 3


def test_what_opens_half_way_and_cannot_be_switched_off_is_not_driven(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    device = unopened(bench, "RGBLED", red=4, green=5, blue=6, on_start="on", pwm=False)

    refuse_claim(bench.pin(6), monkeypatch, lambda: refuse(bench.pin(4), monkeypatch, 1))
    with pytest.raises(CommandFailed, match="busy"):
        device.open(bench.factory)
    assert [bench.pin(pin).function for pin in (4, 5)] == ["input", "input"]


def test_a_light_that_opens_half_way_is_off_at_the_board(tmp_path: Path) -> None:
    with gpio_daemon.daemon(tmp_path, [{**COLOUR, "pwm": False}], start=False) as gpiod:
        start = gpiod.board.state()
        gpiod.board.request(fault="refuse_claim", pin=BLUE, count=3)
        gpiod.start("partial")
        waiting.until(lambda: gpiod.board.line(RED)["level"] == 0, 2, "red to be off")
        with gpiod.connect() as gpio, pytest.raises(CommandFailed, match="colour is not open"):
            gpio.all_off()
        gpiod.until_state("ready")
        assert [gpiod.board.line(pin)["level"] for pin in (RED, GREEN, BLUE)] == [1, 1, 1]
        assert [level for _, level in gpiod.board.went(RED, start)] == [0, 1, 0, 1], "once, and not at each attempt"


class StubbornPin(MockPin):  # type: ignore[misc]
    """As a pin of RPi.GPIO with a kernel that it does not know."""

    def _set_edges(self, value: str) -> None:
        raise RuntimeError("Failed to add edge detection")


def test_a_device_that_raises_what_it_likes_costs_only_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    door, _ = declared({"id": "door", "type": "Button", "pin": 5})
    lamp, _ = declared({"id": "lamp", "type": "LED", "pin": 6, "on_start": "on"})
    config: Any = SimpleNamespace(pin_factory="rpigpio", devices=[door, lamp], simulator_socket=None, chip_label=None)
    monkeypatch.setattr("observatory_gpiod.rig.factories.make", lambda *_: MockFactory(pin_class=StubbornPin))
    rig = Rig(config, Hooks(), lambda _: None, "test")
    rig.start()
    try:
        waiting.until(lambda: rig.state == "partial", 5, "the rig to be partial")
        assert rig.errors == {"door": "door could not be opened: RuntimeError: Failed to add edge detection"}
        assert rig.devices["lamp"].state()["value"] == 1
        seen_s = rig.last_progress()
        waiting.until(lambda: rig.last_progress() > seen_s, 5, "the rig's thread to go on")
    finally:
        rig.end(4)
    assert not rig.devices["lamp"].is_open


def test_what_goes_wrong_while_a_device_is_looked_after_is_forgotten_once_it_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    servo, _ = declared({"id": "servo", "type": "ServoPWM", "pin": 18, "speed": 0.01, "idle_off": True, "initial_angle": 0})
    config: Any = SimpleNamespace(pin_factory="rpigpio", devices=[servo], simulator_socket=None, chip_label=None)
    factory = MockFactory(pin_class=MockPWMPin)
    monkeypatch.setattr("observatory_gpiod.rig.factories.make", lambda *_: factory)
    monkeypatch.setattr("observatory_gpiod.rig._SYSFS_PWM", None)
    monkeypatch.setattr("observatory_gpiod.rig.RETRY_S", 0.5)  # the pulses would end at the next look
    rig = Rig(config, Hooks(), lambda _: None, "test")
    rig.start()
    try:
        waiting.until(lambda: rig.state == "ready", 5, "the rig to be ready")
        refuse(factory.pin(18), monkeypatch, 1)
        waiting.until(lambda: rig.last_error is not None, 5, "the pulses not to end")
        waiting.until(lambda: rig.devices["servo"].state()["value"] is None, 5, "the pulses to end")
        waiting.until(lambda: rig.state == "ready" and not rig.errors, 5, "the rig to be ready again")
    finally:
        rig.end(4)


# calls


def test_a_position_that_is_lost_in_the_last_moment_is_not_believed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    device = bench.open("StepperMotor")
    turning = device.call("rotate", {"angle": 360})
    assert turning is not None
    check = device.check

    def checked_just_before(method: str, arguments: dict[str, Any]) -> dict[str, Any]:
        complete = check(method, arguments)
        for pin in (4, 5, 6, 7):
            refuse(bench.pin(pin), monkeypatch, 1)
        turning.join(5)
        return complete

    monkeypatch.setattr(device, "check", checked_just_before)
    with pytest.raises(Uncertain, match="its position is uncertain"):
        device.call("rotate_to", {"target": 90})
    assert device.state()["running"] is None and not device.state()["position_certain"]


def test_stop_switches_off_although_what_runs_does_not_end(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    device = bench.open("LED")
    device.call("on", {"duration": 60})
    with monkeypatch.context() as patch:

        def stuck(_self: Task, _timeout_s: float) -> None:
            raise TimedOut("on did not end")

        patch.setattr(Task, "join", stuck)
        with pytest.raises(TimedOut):
            device.stop()
    assert bench.pin(4).state == 0
    device.call("on", {})
    assert bench.pin(4).state == 1


def test_a_duration_ends_although_the_line_refuses(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    device = bench.open("LED")
    task = device.call("on", {"duration": 0.5})  # the line refuses before it is over
    assert task is not None
    failures = refuse(bench.pin(4), monkeypatch, 3)
    task.join(5)
    assert isinstance(task.error, CommandFailed), "which is told at once"
    waiting.until(lambda: bench.pin(4).state == 0, 10, "the light to be off")
    assert failures == [] and device.state()["running"] is None


def test_the_next_call_ends_what_is_left_of_a_failed_one(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    device = bench.open("LED")
    task = device.call("on", {"duration": 0.5})  # the line refuses before it is over
    assert task is not None
    refuse(bench.pin(4), monkeypatch, 2)
    task.join(5)
    began_s = time.monotonic()
    assert not task.is_over
    device.call("on", {})
    assert time.monotonic() - began_s < 0.9 and task.is_over
    assert bench.pin(4).state == 1


# closing


def test_a_late_close_leaves_the_next_deadline_alone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    device = bench.open("LED", max_on_time=0.2)
    close = Device.close
    closed, go_on = threading.Event(), threading.Event()

    def held_up(self: Device, keep: bool | None = None) -> None:
        close(self, keep)
        closed.set()
        assert go_on.wait(10)

    with monkeypatch.context() as patch:
        patch.setattr(Device, "close", held_up)
        late = threading.Thread(target=device.close)
        late.start()
        try:
            assert closed.wait(5)
            device.open(bench.factory)
        finally:
            go_on.set()
            late.join(10)
    device.call("on", {})
    waiting.until(lambda: "auto_off" in bench.names(), 5, "auto_off")
    assert bench.pin(4).state == 0


@pytest.mark.parametrize("on_stop", ["keep", "on"])
@pytest.mark.parametrize("watched", [True, False])
def test_what_must_not_be_on_for_long_is_off_when_nobody_watches(on_stop: str, watched: bool, bench: Bench) -> None:
    device = bench.open("LED", on_stop=on_stop, **({"max_on_time": 60} if watched else {}))
    device.call("on", {})
    bench.clear()
    device.close()
    assert bench.pin(4).state == (0 if watched else 1)
    assert bench.events == ([("changed", {"value": 0, "active": False, "cause": "on_stop"})] if watched else [])


def test_a_kept_heater_with_a_deadline_is_off_after_the_stop(tmp_path: Path) -> None:
    kept = {"type": "OutputDevice", "on_start": "keep", "on_stop": "keep"}
    devices = [{"id": "heater", "pin": 22, "max_on_time": 60, **kept}, {"id": "fan", "pin": 23, **kept}]
    with gpio_daemon.daemon(tmp_path, devices) as gpiod:
        for end in (lambda gpio: gpio.shutdown(), lambda _: gpiod.terminate()):
            with gpiod.connect() as gpio:
                for id in ("heater", "fan"):
                    gpio.invoke("call", id, "on")
                end(gpio)
            assert [gpiod.board.line(pin)["level"] for pin in (22, 23)] == [0, 1]
            if gpiod.process is not None and gpiod.process.poll() is None:
                with gpiod.connect() as gpio:
                    assert events_named(gpio, "changed")[-1]["data"]["cause"] == "on_stop"
                    gpio.initialize()


@pytest.mark.parametrize(("refusals", "function"), [(3, "output"), (10_000, "input")])
def test_the_end_tries_again_and_at_last_lets_go(refusals: int, function: str, tmp_path: Path, machine_lag: Any) -> None:
    with gpio_daemon.daemon(tmp_path, [{"id": "lamp", "type": "LED", "pin": LAMP}]) as gpiod:
        with gpiod.connect() as gpio:
            gpio.invoke("call", "lamp", "on")
        gpiod.board.request(fault="refuse_write", pin=LAMP, count=refusals)
        began_s = time.monotonic()
        assert gpiod.terminate() == 0
        assert time.monotonic() - began_s < 5 + machine_lag.seconds
        line = gpiod.board.line(LAMP)
        assert (line["level"], line["function"], line["owner"]) == (0, function, None)


def test_a_job_ends_although_the_line_refuses(tmp_path: Path) -> None:
    with gpio_daemon.daemon(tmp_path, [{"id": "lamp", "type": "LED", "pin": LAMP}]) as gpiod, gpiod.connect() as gpio:
        job = gpio.invoke("call", "lamp", "on", {"duration": 1})  # the line refuses before it is over
        gpiod.board.request(fault="refuse_write", pin=LAMP, count=2)
        assert finished(gpio, job)["state"] == "failed"
        gpiod.board.until_level(LAMP, 0)
        assert not gpio.state("lamp")["active"]


def test_an_attempt_that_hangs_does_not_hold_up_the_close() -> None:
    hanging, go_on = threading.Event(), threading.Event()

    def switch_off() -> None:
        hanging.set()
        assert go_on.wait(30)

    auto_off = AutoOff("it", 0.01, switch_off, lambda _: None)
    try:
        auto_off.arm()
        assert hanging.wait(5)
        closing = threading.Thread(target=auto_off.close)
        closing.start()
        closing.join(10)
        assert not closing.is_alive()
    finally:
        go_on.set()


HANGS = """
import sys, threading
from gpiozero.pins.mock import MockFactory, MockPin
from observatory_gpiod import __main__, factories

class HangingPin(MockPin):
    def _change_state(self, value):
        if value:
            threading.Event().wait()
        return super()._change_state(value)

factories.make = lambda *_: MockFactory(pin_class=HangingPin)
__main__.main()
"""


def test_a_library_that_hangs_does_not_hold_up_the_end(tmp_path: Path, machine_lag: Any) -> None:
    gpiod = Gpiod(tmp_path, [{"id": "lamp", "type": "LED", "pin": LAMP, "on_stop": "on"}])
    with gpiod.log_path.open("ab") as log:
        command = [sys.executable, "-c", HANGS, str(gpiod.config_path)]
        gpiod.process = subprocess.Popen(command, env=gpiod.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        gpiod.until_state("ready", timeout_s=20)
        began_s = time.monotonic()
        gpiod.process.send_signal(signal.SIGTERM)
        assert gpiod.process.wait(15) == 0
        assert time.monotonic() - began_s < 5.5 + machine_lag.seconds
        assert any("ending without waiting for the threads gpio-each" in line for line in gpiod.log_lines())
    finally:
        gpiod.close()


def test_a_device_that_was_never_opened_is_closed_in_silence(bench: Bench) -> None:
    device = unopened(bench, "LED", pin=4, max_on_time=5)
    device.close()
    device.prepare_close()
    assert not device.switch_off("all_off") and bench.events == []
    with pytest.raises(NotConnected):
        device.stop()
