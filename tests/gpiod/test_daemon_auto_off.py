"""max_on_time through the daemon: off in time, whatever has become of the client, of the daemon or of the call."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import gpio_daemon
import pytest
import waiting
from following import events_named, last_event
from gpio_bench import TOLERANCE
from gpio_daemon import Gpiod
from vitals import Vitals

from observatory_common.errors import CommandFailed, DeviceLost

LIMIT_S = 1.0  # a few calls must fit in, on any machine
RED, GREEN, BLUE = 4, 5, 6
DEVICES: list[dict[str, Any]] = [
    {"id": "heater", "type": "OutputDevice", "pin": 22, "max_on_time": LIMIT_S},
    {"id": "colour", "type": "RGBLED", "red": RED, "green": GREEN, "blue": BLUE, "pwm": False, "max_on_time": LIMIT_S},
    {"id": "motor", "type": "Motor", "forward": 20, "backward": 21, "max_on_time": LIMIT_S},
    {"id": "bell", "type": "TonalBuzzer", "pin": 13, "max_on_time": LIMIT_S},
    {"id": "flap", "type": "AngularServo", "pin": 12, "max_on_time": LIMIT_S},
    {"id": "wheel", "type": "StepperMotor", "in1": 7, "in2": 8, "in3": 9, "in4": 10, "max_on_time": LIMIT_S},
    {"id": "lamp", "type": "PWMLED", "pin": 18, "max_on_time": LIMIT_S},
]


@pytest.fixture(scope="module")
def gpiod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gpiod]:
    with gpio_daemon.daemon(tmp_path_factory.mktemp("auto-off"), DEVICES) as running:
        yield running


def waited_s(gpiod: Gpiod) -> float:
    """For how long daemon and board could have run, and had no processor: no canary in another process sees that."""
    return gpiod.vitals.waited_s() + Vitals(gpiod.board.process.pid).waited_s()


@pytest.fixture
def late_s(gpiod: Gpiod, machine_lag: Any) -> Callable[[], float]:
    """How late all that happens may have been since the begin of the test."""
    before_s = waited_s(gpiod)
    return lambda: machine_lag.seconds + max(waited_s(gpiod) - before_s, 0.0)  # threads that end take theirs along


def on_for_s(gpiod: Gpiod, pin: int, start: dict[str, Any]) -> float:
    """How long a line was not low, once it has been."""
    waiting.until(lambda: len(gpiod.board.went(pin, start)) > 1 and gpiod.board.went(pin, start)[-1][1] == 0, 10, "off")
    went = gpiod.board.went(pin, start)
    return sum(seconds for seconds, _ in went[2:])


@pytest.mark.parametrize(
    ("id", "pin", "method", "arguments"),
    [
        ("heater", 22, "on", {}),
        ("heater", 22, "on", {"duration": 60}),
        ("colour", RED, "blink", {"on_time": 60}),
        ("motor", 20, "forward", {"speed": 0.5, "duration": 60}),
        ("bell", 13, "play", {"tone": 69}),
        ("flap", 12, "mid", {}),
        ("wheel", 7, "step", {"steps": 1}),
        ("lamp", 18, "value", {"value": 0.1}),
        ("lamp", 18, "pulse", {"fade_in_time": 60}),
    ],
)
def test_every_kind_of_output_is_switched_off(
    id: str, pin: int, method: str, arguments: dict[str, Any], gpiod: Gpiod, late_s: Callable[[], float]
) -> None:
    with gpiod.connect() as gpio:
        known, start = last_event(gpio), gpiod.board.state()
        job = gpio.invoke("call", id, method, arguments)
        assert 0 < waiting.until(lambda: gpio.state(id)["off_in_s"], 5, "it to be on") <= LIMIT_S
        waiting.until(lambda: events_named(gpio, "auto_off", after=known), 10, "the event")
        assert on_for_s(gpiod, pin, start) == pytest.approx(LIMIT_S, abs=TOLERANCE + late_s())
        assert gpiod.board.line(pin)["level"] == 0
        (event,) = events_named(gpio, "auto_off", after=known)
        assert (event["source"], event["data"]) == (id, {"after_s": LIMIT_S})
        state = gpio.state(id)
        assert (state["active"], state["off_in_s"], state["running"], state["set_by"]) == (False, None, None, "auto_off")
        if job is not None:
            assert gpio.job(job["id"])["state"] in ("stopped", "succeeded")


DIES = """
import os, signal, sys
from observatory_common.rpc.client import connect
gpio = connect(sys.argv[1])
gpio.invoke("call", "heater", "on", {"duration": 60})
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_although_the_client_has_died(gpiod: Gpiod, late_s: Callable[[], float]) -> None:
    start = gpiod.board.state()
    died = subprocess.run([sys.executable, "-c", DIES, gpio_daemon.NAME], env=gpiod.env, timeout=20, check=False)
    assert died.returncode == -signal.SIGKILL
    assert on_for_s(gpiod, 22, start) == pytest.approx(LIMIT_S, abs=TOLERANCE + late_s())


@pytest.mark.parametrize("stopped_s", [LIMIT_S / 2, 1.5 * LIMIT_S])  # its board is lost after 2 s
def test_although_the_daemon_was_stopped(stopped_s: float, gpiod: Gpiod, late_s: Callable[[], float]) -> None:
    with gpiod.connect() as gpio:
        start = gpiod.board.state()
        gpio.invoke("call", "heater", "on")
    assert gpiod.process is not None
    gpiod.process.send_signal(signal.SIGSTOP)
    try:
        began_s = time.monotonic()
        waiting.until(lambda: time.monotonic() - began_s > stopped_s, 10, "the standstill")
        assert gpiod.board.line(22)["level"] == 1
    finally:
        gpiod.process.send_signal(signal.SIGCONT)
    on_s = on_for_s(gpiod, 22, start)
    assert max(LIMIT_S, stopped_s) - TOLERANCE < on_s < max(LIMIT_S, stopped_s) + 2 * TOLERANCE + late_s()


def test_although_the_call_raised(gpiod: Gpiod, late_s: Callable[[], float]) -> None:
    with gpiod.connect() as gpio:
        known, start = last_event(gpio), gpiod.board.state()
        gpiod.board.request(fault="refuse_write", pin=GREEN, count=1)
        with pytest.raises(CommandFailed, match="line 5 cannot be written"):
            gpio.invoke("call", "colour", "on")
        assert [gpiod.board.line(pin)["level"] for pin in (RED, GREEN, BLUE)] == [1, 0, 0]
        assert gpio.state("colour")["value"] == [1, 0, 0] and 0 < gpio.state("colour")["off_in_s"] <= LIMIT_S
        assert on_for_s(gpiod, RED, start) == pytest.approx(LIMIT_S, abs=TOLERANCE + late_s())
        waiting.until(lambda: events_named(gpio, "auto_off", after=known), 5, "the event")


def test_it_is_tried_again_until_it_is_off(gpiod: Gpiod, machine_lag: Any) -> None:
    with gpiod.connect() as gpio:
        known, start = last_event(gpio), gpiod.board.state()
        gpio.invoke("call", "heater", "on")
        gpiod.board.request(fault="refuse_write", pin=22, count=2)
        on_s = on_for_s(gpiod, 22, start)
        assert on_s == pytest.approx(LIMIT_S + 2, abs=3 * (TOLERANCE + machine_lag.seconds))
        waiting.until(lambda: events_named(gpio, "auto_off", after=known), 5, "the event")
        failures = events_named(gpio, "auto_off_failed", after=known)
        assert [event["data"] for event in failures] == [{"error": "CommandFailed: line 22 cannot be written"}] * 2


def test_although_the_board_fell_silent_in_the_call(tmp_path: Path) -> None:
    """What the board does late, after everybody has given up, is found and ended too."""
    heater = DEVICES[0] | {"on_start": "keep", "on_stop": "keep"}
    with gpio_daemon.daemon(tmp_path, [heater]) as gpiod, gpiod.connect() as gpio:
        start = gpiod.board.state()
        gpiod.board.request(fault="silence", seconds=3)
        with pytest.raises(DeviceLost):
            gpio.invoke("call", "heater", "on")
        gpiod.until_state("ready")
        waiting.until(lambda: gpio.state("heater")["active"] is False, 10, "off again")
        assert gpiod.board.line(22)["level"] == 0
        went = gpiod.board.went(22, start)
        assert len(went) in (1, 3), "never on, or on and off"


def test_it_counts_anew_after_a_kill(tmp_path: Path, machine_lag: Any) -> None:
    limit_s = 2.0  # it counts from the opening of the pins, and is still to be running when the status is asked for
    heater = DEVICES[0] | {"on_start": "keep", "on_stop": "keep", "max_on_time": limit_s}
    with gpio_daemon.daemon(tmp_path, [heater]) as gpiod:
        with gpiod.connect() as gpio:
            start = gpiod.board.state()
            gpio.invoke("call", "heater", "on")
        gpiod.kill()
        gpiod.start()
        with gpiod.connect() as gpio:
            status, before_s = gpio.report_status(), waited_s(gpiod)
            assert status["value_heater"] == 1 and 0 < status["off_in_s_heater"] <= limit_s
            (begun,) = (event for event in events_named(gpio, "changed") if event["data"]["cause"] == "on_start")
            on_s = on_for_s(gpiod, 22, start)
            (ended,) = (event for event in events_named(gpio, "changed") if event["data"]["cause"] == "auto_off")
            most_late_s = machine_lag.seconds + max(waited_s(gpiod) - before_s, 0.0)
        assert limit_s < on_s < 10
        since_start = datetime.fromisoformat(ended["date"]) - datetime.fromisoformat(begun["date"])
        assert since_start.total_seconds() == pytest.approx(limit_s, abs=TOLERANCE + most_late_s)
