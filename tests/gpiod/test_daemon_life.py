"""A board that is lost, silent or late, lines that others have, and the daemon's own life."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gpio_daemon
import pytest
import waiting
from following import events_named, finished
from gpio_daemon import Gpiod

from observatory_common.errors import (
    CommandFailed,
    DeviceLost,
    NotConnected,
    NotDisconnected,
    ObservatoryError,
)

#: Every call is answered within this, whatever the board does; the factory gives it up after 2 s.
ANSWERS_WITHIN_S = 3.0
LAMP, HEATER = 17, 22
COILS = {"in1": 5, "in2": 6, "in3": 16, "in4": 26}
DEVICES: list[dict[str, Any]] = [
    {"id": "lamp", "type": "LED", "pin": LAMP},
    {"id": "heater", "type": "OutputDevice", "pin": HEATER, "on_start": "keep", "on_stop": "keep", "max_on_time": 60},
    {"id": "spot", "type": "PWMLED", "pin": 18},
    {"id": "flap", "type": "AngularServo", "pin": 12},
    {"id": "wheel", "type": "StepperMotor", **COILS},
    {"id": "door", "type": "Button", "pin": 27},
    {"id": "knob", "type": "RotaryEncoder", "a": 20, "b": 21},
    {"id": "sky", "type": "LightSensor", "pin": 25, "queue_len": 2},
    {"id": "visitor", "type": "MotionSensor", "pin": 4, "pull_up": False},
    {"id": "roof", "type": "DistanceSensor", "echo": 24, "trigger": 23, "queue_len": 2},
]
WIRING: list[dict[str, Any]] = [
    {"type": "light", "pin": 25},
    {"type": "motion", "pin": 4},
    {"type": "distance", "trigger": 23, "echo": 24},
]
READINGS = ("value", "active", "position", "steps", "distance_m", "is_held", "off_in_s", "running")


@contextmanager
def answers_in_time(gpiod: Gpiod, machine_lag: Any) -> Iterator[None]:
    """While this lasts, status, state, describe and events are answered within bounds."""
    slowest_s = [0.0]
    end = threading.Event()
    calls: list[tuple[str, tuple[Any, ...]]] = [
        ("report_status", ()),
        ("state", ("lamp",)),
        ("describe", ()),
        ("events", (None, 0, 0)),
    ]

    def ask() -> None:
        with gpiod.connect(timeout_s=20) as gpio:
            while not end.wait(0.02):
                for method, arguments in calls:
                    began_s = time.monotonic()
                    gpio.invoke(method, *arguments)
                    slowest_s[0] = max(slowest_s[0], time.monotonic() - began_s)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield
    finally:
        end.set()
        asking.join(30)
    assert 0 < slowest_s[0] < ANSWERS_WITHIN_S + machine_lag.seconds


def assert_unknown(status: dict[str, Any]) -> None:
    """Nothing is known of any device, and it is said why."""
    assert (status["state"], status["reading_age_s"]) == ("connecting", None)
    assert re.search(r"the pins of simulated are lost: .*(gone|reset|pipe|within 2 s)|no simulated board", status["last_error"])
    for id in status["devices"]:
        found = {key: status[f"{key}_{id}"] for key in READINGS if f"{key}_{id}" in status}
        assert set(found.values()) == {None}, (id, found)
        assert status[f"error_{id}"] is not None


@pytest.mark.parametrize("how", ["killed", "ended", "silent"])
def test_a_lost_board_is_told_and_comes_back(how: str, tmp_path: Path, machine_lag: Any) -> None:
    with gpio_daemon.daemon(tmp_path, DEVICES, WIRING) as gpiod, gpiod.connect() as gpio:
        gpio.invoke("call", "heater", "on")
        threads, files = gpiod.vitals.threads(), gpiod.vitals.open_files()
        gpio.invoke("call", "flap", "angle", {"angle": 30})
        gpio.invoke("call", "wheel", "zero")
        jobs = [
            gpio.invoke("call", "lamp", "on", {"duration": 600}),
            gpio.invoke("call", "spot", "pulse"),
            gpio.invoke("call", "wheel", "rotate", {"angle": 3600}),
        ]
        waiting.until(lambda: gpio.state("wheel")["position_steps"] > 20, 10, "some steps")
        with answers_in_time(gpiod, machine_lag):
            if how == "killed":
                gpiod.board.process.kill()
                gpiod.board.process.wait(10)
            elif how == "ended":
                gpiod.board.close()
            else:
                # a loss is found out within 3 s, and the first call below may wait 2 s for the opening tried then
                gpiod.board.request(fault="silence", seconds=8)
            for job in jobs:
                ended = finished(gpio, job, 10)
                assert (ended["state"], ended["error"]["code"]) == ("lost_device", 41), ended
            status = gpiod.until_state("connecting")
            waiting.until(lambda: gpio.report_status()["error_roof"] is not None, 5, "the last sensor to notice")
            assert_unknown(gpio.report_status())
            for id, method in (("lamp", "on"), ("heater", "off"), ("flap", "mid"), ("wheel", "zero"), ("lamp", "stop")):
                began_s = time.monotonic()
                with pytest.raises((NotConnected, DeviceLost)):
                    gpio.invoke("call", id, method)
                assert time.monotonic() - began_s < ANSWERS_WITHIN_S + machine_lag.seconds
            with pytest.raises(CommandFailed, match=r"not off: .*lamp"):
                gpio.all_off()
            assert gpio.cancel(jobs[0]["id"])["state"] == "lost_device"
            if how != "silent":
                gpiod.start_board()
            status = gpiod.until_state("ready", timeout_s=15)
        # all is as after a start: what was kept is as the board has it, what moved is uncertain
        assert status["value_heater"] == gpiod.board.line(HEATER)["level"] == (1 if how == "silent" else 0)
        assert (status["value_lamp"], status["position_certain_wheel"], status["position_flap"]) == (0, False, 30)
        waiting.until(lambda: gpio.state("roof")["distance_m"] is not None, 10, "readings")
        gpio.invoke("call", "lamp", "on")
        assert gpiod.board.line(LAMP)["level"] == 1
        last = events_named(gpio)[-1]["seq"]
        gpiod.board.request(press=27, for_s=0.05)
        waiting.until(lambda: events_named(gpio, "when_released", after=last), 5, "the button")
        waiting.until(lambda: gpiod.vitals.threads() <= threads + 2, 15, f"{threads} threads again")
        waiting.until(lambda: gpiod.vitals.open_files() <= files, 15, f"{files} files again")


def test_a_board_that_comes_late_is_waited_for(tmp_path: Path, machine_lag: Any) -> None:
    gpiod = Gpiod(tmp_path, DEVICES, WIRING)
    try:
        gpiod.start("connecting")
        with gpiod.connect() as gpio:
            with answers_in_time(gpiod, machine_lag):
                status = waiting.until(lambda: (s := gpio.report_status())["last_error"] and s, 5, "the reason")
                assert "no simulated board at" in status["last_error"]
                with pytest.raises(NotConnected, match="lamp is not open"):
                    gpio.invoke("call", "lamp", "on")
                with pytest.raises(NotDisconnected):
                    gpio.initialize()
                assert len(gpio.describe()) == len(DEVICES)
                gpiod.start_board()
                gpiod.until_state("ready")
            gpio.invoke("call", "lamp", "on")
        assert sum("no simulated board" in line for line in gpiod.log_lines()) == 1, "it is not said every second"
    finally:
        gpiod.close()


def test_a_daemon_without_a_board_ends_in_time(tmp_path: Path, machine_lag: Any) -> None:
    gpiod = Gpiod(tmp_path, DEVICES)
    gpiod.start("connecting")
    began_s = time.monotonic()
    assert gpiod.terminate() == 0
    assert time.monotonic() - began_s < 5 + machine_lag.seconds
    gpiod.close()


def test_a_daemon_whose_board_is_silent_ends_in_time(tmp_path: Path, machine_lag: Any) -> None:
    with gpio_daemon.daemon(tmp_path, DEVICES, WIRING) as gpiod:
        with gpiod.connect() as gpio:
            gpio.invoke("call", "lamp", "blink")
        gpiod.board.request(fault="silence", seconds=8)
        began_s = time.monotonic()
        assert gpiod.terminate() == 0
        assert time.monotonic() - began_s < 5 + machine_lag.seconds


def test_a_line_that_another_has_costs_only_its_device(tmp_path: Path) -> None:
    colour = {"id": "colour", "type": "RGBLED", "red": 9, "green": 10, "blue": 11, "on_start": "keep", "on_stop": "keep"}
    with gpio_daemon.daemon(tmp_path, [*DEVICES, colour], WIRING) as gpiod:
        with gpiod.connect() as gpio:
            gpio.invoke("call", "colour", "on")
        gpiod.kill()
        start = gpiod.board.state()
        gpiod.board.request(fault="refuse_claim", pin=LAMP, count=3)
        gpiod.board.request(fault="refuse_claim", pin=10, count=3)
        gpiod.start("partial")
        with gpiod.connect() as gpio:
            status = gpio.report_status()
            for id, pin in (("lamp", LAMP), ("colour", 10)):
                assert f"line {pin} is used by another program" in status[f"error_{id}"]
                assert (status[f"value_{id}"], status[f"type_{id}"]) == (None, "LED" if id == "lamp" else "RGBLED")
            assert status["error_heater"] is None and "is used by another program" in status["last_error"]
            with pytest.raises(NotConnected, match="lamp is not open"):
                gpio.invoke("call", "lamp", "on")
            gpio.invoke("call", "heater", "on")
            with pytest.raises(CommandFailed, match="lamp is not open"):
                gpio.all_off()
            assert gpiod.board.line(HEATER)["level"] == 0, "the others are off"
            gpiod.until_state("ready")
            gpio.invoke("call", "lamp", "on")
            assert gpio.state("lamp")["error"] is None
            assert gpio.state("colour")["value"] == [1, 1, 1]
            for pin in (9, 10, 11):
                assert gpiod.board.went(pin, start) == [(0.0, 1.0)], "kept through all attempts"


def test_shutdown_and_initialize(tmp_path: Path) -> None:
    with gpio_daemon.daemon(tmp_path, DEVICES, WIRING) as gpiod, gpiod.connect() as gpio:
        with pytest.raises(NotDisconnected, match="in use already"):
            gpio.initialize()
        job = gpio.invoke("call", "lamp", "blink")
        assert gpio.shutdown() == {"state": "closed"}
        assert finished(gpio, job)["state"] == "stopped" and gpiod.board.line(LAMP)["level"] == 0
        status = gpio.report_status()
        assert (status["state"], status["reading_age_s"], status["value_lamp"]) == ("closed", None, None)
        for refused in (gpio.shutdown, gpio.all_off, lambda: gpio.invoke("call", "lamp", "on")):
            with pytest.raises(NotConnected) as error:
                refused()
            assert error.value.code == 7
        last = gpiod.board.last()
        for level in (True, None):
            gpiod.board.request(set=27, level=level)
        assert gpiod.board.last() == last + 2
        assert gpio.report_status()["state"] == "closed", "nothing opens them but initialize"
        assert gpio.initialize() == {"state": "ready"}
        gpio.invoke("call", "lamp", "on")
        gpiod.board.request(fault="refuse_claim", pin=LAMP, count=1)
        gpio.shutdown()
        with pytest.raises(CommandFailed, match=r"is tried again: .*another program"):
            gpio.initialize()
        gpiod.until_state("ready")


def test_all_off_names_what_fails_and_switches_all_else_off(tmp_path: Path) -> None:
    with gpio_daemon.daemon(tmp_path, DEVICES, WIRING) as gpiod, gpiod.connect() as gpio:
        outputs = ["lamp", "heater", "spot", "flap", "wheel"]

        def switch_on() -> list[dict[str, Any]]:
            gpio.invoke("call", "heater", "on")
            gpio.invoke("call", "flap", "mid")
            return [
                gpio.invoke("call", "lamp", "blink", {"on_time": 60}),
                gpio.invoke("call", "spot", "pulse"),
                gpio.invoke("call", "wheel", "rotate", {"angle": 3600}),
            ]

        jobs = switch_on()
        gpiod.board.until_level(LAMP, 1)
        assert gpio.all_off() == {"off": outputs}
        status = gpio.report_status()
        assert [status[f"active_{id}"] for id in outputs] == [False] * 5
        assert all(status[f"set_by_{id}"] == "LocalHost (127.0.0.1)" for id in outputs)
        assert [gpiod.board.line(pin)["level"] for pin in (LAMP, HEATER, 18, 12, *COILS.values())] == [0] * 8
        assert [finished(gpio, job)["state"] for job in jobs] == ["stopped"] * 3
        assert status["position_flap"] == 0 and not status["position_certain_flap"], "its pulses ended on the way"
        switch_on()
        gpiod.board.until_level(LAMP, 1)
        gpiod.board.request(fault="refuse_write", pin=LAMP, count=1)
        with pytest.raises(CommandFailed, match=r"^not off: .*line 17 cannot be written$"):
            gpio.all_off()
        status = gpio.report_status()
        assert [id for id in outputs if status[f"active_{id}"]] == ["lamp"]
        gpio.all_off()
        assert gpiod.board.line(LAMP)["level"] == 0


def test_clients_are_not_harmed_by_the_end(tmp_path: Path) -> None:
    """Whoever calls while the daemon ends gets an answer or an end, and nothing is switched on behind its back."""
    with gpio_daemon.daemon(tmp_path, DEVICES, WIRING) as gpiod:
        end = threading.Event()

        def busy() -> None:
            with gpiod.connect(timeout_s=2) as gpio:
                while not end.is_set():
                    for method in ("on", "toggle", "blink"):
                        try:
                            gpio.invoke("call", "lamp", method)
                        except ObservatoryError:
                            pass
                    try:
                        gpio.initialize()
                    except ObservatoryError:
                        pass

        threads = [threading.Thread(target=busy) for _ in range(5)]
        for thread in threads:
            thread.start()
        gpiod.board.until_level(LAMP, 1)
        try:
            assert gpiod.terminate() == 0
        finally:
            end.set()
            for thread in threads:
                thread.join(20)
        assert gpiod.board.line(LAMP)["level"] == 0
