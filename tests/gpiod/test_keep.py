"""What a restart of the daemon does to its outputs, as the board sees it: nothing to what is kept, off first of all else."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import gpio_daemon
import pytest
import waiting
from following import events_named, last_event
from gpio_daemon import Gpiod
from vitals import Vitals

from observatory_common.errors import DaemonNotReachable

KEEP = {"on_start": "keep", "on_stop": "keep"}
HEATER, FAN, LOW_FAN, SPOT, RED, GREEN, BLUE = 22, 23, 24, 18, 9, 10, 11
COILS = [5, 6, 7, 8]
KEPT: list[dict[str, Any]] = [
    {"id": "heater", "type": "OutputDevice", "pin": HEATER, **KEEP},
    {"id": "fan", "type": "DigitalOutputDevice", "pin": FAN, **KEEP},
    {"id": "low-fan", "type": "LED", "pin": LOW_FAN, "active_high": False, **KEEP},
    {"id": "spot", "type": "PWMLED", "pin": SPOT, **KEEP},
    {"id": "colour", "type": "RGBLED", "red": RED, "green": GREEN, "blue": BLUE, **KEEP},
    {"id": "wheel", "type": "StepperMotor", **{f"in{n + 1}": pin for n, pin in enumerate(COILS)}, **KEEP},
]
KEPT_PINS = [HEATER, FAN, LOW_FAN, SPOT, RED, GREEN, BLUE, *COILS]
LAMP, LOW_LAMP, MOTOR, BELL, BLINKER, CLOSING = 17, 12, 20, 21, 13, 26
OFF: list[dict[str, Any]] = [
    {"id": "lamp", "type": "LED", "pin": LAMP},
    {"id": "low-lamp", "type": "LED", "pin": LOW_LAMP, "active_high": False},
    {"id": "motor", "type": "Motor", "forward": MOTOR, "backward": 19},
    {"id": "bell", "type": "Buzzer", "pin": BELL},
    {"id": "blinker", "type": "LED", "pin": BLINKER},
]
OTHERS: list[dict[str, Any]] = [
    {"id": "closing", "type": "LED", "pin": CLOSING, "on_stop": "on"},
    {"id": "door", "type": "Button", "pin": 27},
]


def switch_on(gpiod: Gpiod) -> None:
    """Everything, `fan` excepted."""
    with gpiod.connect() as gpio:
        for id in ("heater", "low-fan", "spot", "lamp", "low-lamp", "bell"):
            gpio.invoke("call", id, "on")
        gpio.invoke("call", "colour", "value", {"value": [1, 0, 1]})
        gpio.invoke("call", "motor", "forward", {"speed": 0.5})
        gpio.invoke("call", "blinker", "blink", {"on_time": 60})
        gpio.wait_for(gpio.invoke("call", "wheel", "rotate", {"angle": 1}), timeout_s=10)
    gpiod.board.until_level(BLINKER, 1)


def unmoved(gpiod: Gpiod, start: dict[str, Any]) -> None:
    """No kept line has had an edge since."""
    state = gpiod.board.state()
    for pin in KEPT_PINS:
        assert gpiod.board.went(pin, start) == [(0.0, start["lines"][pin]["level"])], pin
        assert state["lines"][pin]["edges"] == start["lines"][pin]["edges"]


@pytest.mark.parametrize("how", ["terminate", "kill"])
def test_what_is_kept_has_no_edge_across_a_restart(how: str, tmp_path: Path) -> None:
    with gpio_daemon.daemon(tmp_path, [*KEPT, *OFF, *OTHERS]) as gpiod:
        switch_on(gpiod)
        start = gpiod.board.state()
        assert [start["lines"][pin]["level"] for pin in (HEATER, FAN, LOW_FAN, SPOT, RED, GREEN, BLUE)] == [1, 0, 0, 1, 1, 0, 1]
        for _ in range(3):
            getattr(gpiod, how)()
            unmoved(gpiod, start)
            levels = [gpiod.board.line(pin)["level"] for pin in (LAMP, LOW_LAMP, MOTOR, BELL, CLOSING)]
            if how == "terminate":
                assert levels == [0, 1, 0, 0, 1]
            gpiod.start()
            unmoved(gpiod, start)
            assert [gpiod.board.line(pin)["level"] for pin in (LAMP, LOW_LAMP, MOTOR, BELL)] == [0, 1, 0, 0]
        with gpiod.connect() as gpio:
            status = gpio.report_status()
            values = {
                id: status[f"value_{id}"] for id in ("heater", "fan", "low-fan", "spot", "colour", "lamp", "motor", "bell")
            }
            assert values == {
                "heater": 1,
                "fan": 0,
                "low-fan": 1,
                "spot": 1,
                "colour": [1, 0, 1],
                "lamp": 0,
                "motor": 0,
                "bell": 0,
            }
            assert status["active_heater"] and status["set_by_heater"] == "on_start"
            first = {event["source"]: event for event in reversed(events_named(gpio, "changed"))}
            assert first["heater"]["data"] == {"value": 1, "active": True, "cause": "on_start"}
            gpio.invoke("call", "heater", "off")  # and it is held, not stuck
            assert gpiod.board.line(HEATER)["level"] == 0


def test_what_is_not_kept_stays_when_killed(tmp_path: Path) -> None:
    """Nobody is there any more to switch it off; the start does."""
    with gpio_daemon.daemon(tmp_path, OFF) as gpiod:
        with gpiod.connect() as gpio:
            gpio.invoke("call", "lamp", "on")
        start = gpiod.board.state()
        gpiod.kill()
        assert gpiod.board.went(LAMP, start) == [(0.0, 1.0)]
        gpiod.start()
        assert [level for _, level in gpiod.board.went(LAMP, start)] == [1, 0]


OFF_WITHIN_S = 0.05


class Client:
    """Somebody who waits for an answer, in a thread of his own, while the daemon ends."""

    def __init__(self, gpiod: Gpiod, *call: Any) -> None:
        self._asks = threading.Event()
        self._pool = ThreadPoolExecutor(1)
        self._answered_ns = self._pool.submit(self._ask, gpiod, call)

    def _ask(self, gpiod: Gpiod, call: tuple[Any, ...]) -> int:
        with gpiod.connect() as gpio, suppress(DaemonNotReachable):
            self._asks.set()
            gpio.invoke(*call)
        return time.monotonic_ns()

    def until_asking(self) -> None:
        assert self._asks.wait(10)

    def answered_ns(self) -> int:
        """When the answer came, or none could come any more."""
        try:
            return self._answered_ns.result(15)
        finally:
            self._pool.shutdown()


class Ending:
    """The end of a daemon; what it and its board wait for a processor meanwhile is looked at as long as it can be."""

    def __init__(self, gpiod: Gpiod) -> None:
        self._of = (gpiod.vitals, Vitals(gpiod.board.process.pid))
        self._waited: list[tuple[int, float]] = []
        self._look()
        self.asked_ns = time.monotonic_ns()
        with ThreadPoolExecutor(1) as aside:
            ended = aside.submit(gpiod.terminate)
            waiting.until(lambda: self._look() or ended.done(), 30, "its end")  # type: ignore[func-returns-value]
        self.exit_code = ended.result()

    def _look(self) -> None:
        with suppress(OSError):  # it has ended
            self._waited.append((time.monotonic_ns(), sum(vitals.waited_s() for vitals in self._of)))

    def waited_s(self, until_ns: int) -> float:
        """How long they waited until then, as the first look after that tells."""
        looks = 1 + sum(at_ns <= until_ns for at_ns, _ in self._waited)
        return max(waited_s for _, waited_s in self._waited[:looks]) - self._waited[0][1]


@pytest.mark.parametrize("asked", [False, True], ids=["alone", "asked"])
def test_outputs_come_to_rest_before_anything_else(asked: bool, tmp_path: Path, machine_lag: Any) -> None:
    with gpio_daemon.daemon(tmp_path, [*KEPT, *OTHERS, *OFF]) as gpiod:
        switch_on(gpiod)
        with gpiod.connect() as gpio:
            job = gpio.invoke("call", "blinker", "blink", {"on_time": 60})
            calls = [("wait", job["id"], 10), ("events", gpio.hello["boot_id"], last_event(gpio), 10)] if asked else []
        clients = [Client(gpiod, *call) for call in calls]
        for client in clients:
            client.until_asking()
        start = gpiod.board.state()
        ending = Ending(gpiod)
        assert ending.exit_code == 0
        assert all(client.answered_ns() > ending.asked_ns for client in clients)
        levels = {line["pin"]: line["level"] for line in start["lines"]}
        edges: list[dict[str, Any]] = []
        for change in gpiod.board.history(after=start["last"]):
            if change["level"] != levels[change["pin"]]:
                edges.append(change)
                levels[change["pin"]] = change["level"]
        assert {change["pin"]: change["level"] for change in edges[:6]} == {
            LAMP: 0,
            MOTOR: 0,
            BELL: 0,
            BLINKER: 0,
            LOW_LAMP: 1,
            CLOSING: 1,
        }
        took_s = (edges[5]["at_ns"] - ending.asked_ns) / 1e9 - ending.waited_s(edges[5]["at_ns"])
        assert took_s < OFF_WITHIN_S + machine_lag.seconds
        assert [change["pin"] for change in edges[6:]] in ([], [27]), "but for the pull of the button"


def test_a_share_cannot_be_kept_and_goes_off(tmp_path: Path) -> None:
    """Pulses end with their process: a heater at 30 % must not be left wholly on."""
    spot = KEPT[3]
    with gpio_daemon.daemon(tmp_path, [spot]) as gpiod:
        for value, left in ((0.5, 0), (1, 1)):
            with gpiod.connect() as gpio:
                gpio.invoke("call", "spot", "value", {"value": value})
            assert gpiod.terminate() == 0
            line = gpiod.board.line(SPOT)
            assert (line["level"], line["duty"], line["function"]) == (left, None, "output")
            gpiod.start()
            with gpiod.connect() as gpio:
                assert gpio.state("spot")["value"] == left


def test_the_level_that_killed_pulses_leave_is_what_is_read(tmp_path: Path) -> None:
    spot = KEPT[3]
    with gpio_daemon.daemon(tmp_path, [spot]) as gpiod:
        with gpiod.connect() as gpio:
            gpio.invoke("call", "spot", "value", {"value": 0.5})
        gpiod.kill()
        gpiod.start()
        with gpiod.connect() as gpio:
            assert gpio.state("spot")["value"] == gpiod.board.line(SPOT)["level"]


def test_shutdown_and_initialize_are_a_stop_and_a_start(tmp_path: Path) -> None:
    with gpio_daemon.daemon(tmp_path, [*KEPT, *OFF, *OTHERS]) as gpiod:
        switch_on(gpiod)
        start = gpiod.board.state()
        with gpiod.connect() as gpio:
            assert gpio.shutdown() == {"state": "closed"}
            unmoved(gpiod, start)
            assert [gpiod.board.line(pin)["level"] for pin in (LAMP, LOW_LAMP, MOTOR, BELL, CLOSING)] == [0, 1, 0, 0, 1]
            assert all(line["owner"] is None for line in gpiod.board.state()["lines"])
            assert gpio.initialize() == {"state": "ready"}
            unmoved(gpiod, start)
            assert gpio.state("heater")["value"] == 1 and gpiod.board.line(CLOSING)["level"] == 0


def test_a_kernel_that_frees_lines_is_not_believed_to_have_held_them(tmp_path: Path) -> None:
    with gpio_daemon.daemon(tmp_path, [KEPT[0]], on_board={"on_release": "input"}) as gpiod:
        with gpiod.connect() as gpio:
            gpio.invoke("call", "heater", "on")
        assert gpiod.terminate() == 0
        gpiod.board.until_level(HEATER, 0)
        gpiod.start()
        with gpiod.connect() as gpio:
            assert (gpio.state("heater")["value"], gpiod.board.line(HEATER)["level"]) == (0, 0)
