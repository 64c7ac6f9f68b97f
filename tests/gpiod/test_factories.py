"""Real gpiozero devices on a simulated board in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import boards
import gpiozero
import pytest
import waiting
from gpiozero.exc import PinFixedPull, PinInvalidFunction, PinInvalidState, PinPWMFixedValue, PinSetInput, PinSPIUnsupported

from observatory_common.errors import Blocked, DeviceLost, InvalidArgument, NotConnected
from observatory_gpiod import factories
from observatory_gpiod.factories.edges import Edge

WIRING: list[dict[str, Any]] = [
    {"type": "button", "pin": 17, "bounces": 2, "bounce_s": 0.004},
    {"type": "motion", "pin": 4},
    {"type": "line", "pin": 14},
    {"type": "distance", "trigger": 23, "echo": 24, "distance_cm": 40},
    {"type": "light", "pin": 18, "light": 0.6, "dark_charge_s": 0.2},
    {"type": "loop", "from": 5, "to": 6},
    {"type": "encoder", "a": 20, "b": 21, "step_s": 0.004},
    {"type": "servo", "pin": 13},
]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[boards.BoardProcess]:
    with boards.board(tmp_path_factory.mktemp("board"), *WIRING) as running:
        yield running


@pytest.fixture
def board(shared: boards.BoardProcess) -> boards.BoardProcess:
    shared.request(fault="clear")
    return shared


@pytest.fixture
def pins(board: boards.BoardProcess) -> Iterator[Any]:
    factory = make(board)
    yield factory
    factory.close()


def make(board: boards.BoardProcess, **options: Any) -> Any:
    return factories.make("simulated", {"socket": str(board.socket), **options})


# devices


@pytest.mark.parametrize("name", ["LED", "Buzzer", "DigitalOutputDevice", "OutputDevice"])
def test_what_is_switched(name: str, board: boards.BoardProcess, pins: Any) -> None:
    after = board.last()
    with getattr(gpiozero, name)(10, pin_factory=pins) as device:
        device.on()
        device.off()
        device.toggle()
        assert (device.value, board.line(10)["level"]) == (1, 1)
        assert board.line(10)["owner"].startswith("gpiod (process ")
    assert board.levels(10, after) == [1, 0, 1, 0]
    assert board.line(10)["owner"] is None


def test_a_blink_keeps_its_times(board: boards.BoardProcess, pins: Any, machine_lag: Any) -> None:
    after = board.last()
    with gpiozero.LED(10, pin_factory=pins) as led:
        led.blink(0.1, 0.05, n=7, background=False)
    changes = board.history(10, after)
    assert [change["level"] for change in changes] == [1, 0] * 7
    gaps_s = [(b["at_ns"] - a["at_ns"]) / 1e9 for a, b in pairwise(changes)]
    usual_s = [median(gaps_s[::2]), median(gaps_s[1::2])]  # a busy machine holds up one or another
    assert usual_s == pytest.approx([0.1, 0.05], abs=0.02 + machine_lag.seconds), gaps_s


def test_what_is_dimmed(board: boards.BoardProcess, pins: Any) -> None:
    after = board.last()
    with gpiozero.PWMLED(10, frequency=200, pin_factory=pins) as led:
        led.value = 0.25
        assert (led.value, led.frequency) == (0.25, 200)
        assert (board.line(10)["duty"], board.line(10)["frequency_hz"]) == (0.25, 200)
        led.frequency = 50
        led.on()
    assert board.levels(10, after) == [0, 0, 0.25, 0.25, 1, 0]
    with gpiozero.RGBLED(10, 11, 12, pin_factory=pins) as rgb:
        rgb.value = (1, 0.5, 0)
        assert [board.line(pin)["duty"] for pin in (10, 11, 12)] == [1, 0.5, 0]
    with gpiozero.TonalBuzzer(9, pin_factory=pins) as buzzer:
        buzzer.play(gpiozero.tones.Tone(frequency=440))
        assert (board.line(9)["frequency_hz"], board.line(9)["duty"]) == (440, 0.5)
        buzzer.stop()
        assert board.line(9)["level"] == 0


def test_what_turns(board: boards.BoardProcess, pins: Any) -> None:
    with gpiozero.Motor(10, 11, pin_factory=pins) as motor:
        motor.forward(0.5)
        assert [board.line(pin)["duty"] for pin in (10, 11)] == [0.5, 0]
        motor.backward()
        assert [board.line(pin)["duty"] for pin in (10, 11)] == [0, 1]
    with gpiozero.Servo(13, pin_factory=pins) as servo:
        servo.max()
        assert board.wired("servo")["angle"] == 90
    with gpiozero.AngularServo(13, initial_angle=0, pin_factory=pins) as angular:
        angular.angle = 30
        assert board.wired("servo")["angle"] == pytest.approx(30)


def test_a_button_with_a_bounce_time(board: boards.BoardProcess, pins: Any) -> None:
    counts = {"pressed": 0, "released": 0}
    released = threading.Event()

    def press() -> None:
        counts["pressed"] += 1

    def release() -> None:
        counts["released"] += 1
        released.set()

    with gpiozero.Button(17, bounce_time=0.02, pin_factory=pins) as button:
        button.when_pressed, button.when_released = press, release
        after = board.last()
        board.request(press=17, for_s=0.1)
        assert released.wait(10)
        assert not button.is_pressed
    assert counts == {"pressed": 1, "released": 1}
    waiting.until(lambda: len(board.levels(17, after)) >= 10, 5, "the bounces")
    assert board.levels(17, after)[:10] == [0, 1, 0, 1, 0, 1, 0, 1, 0, 1]


def test_sensors(board: boards.BoardProcess, pins: Any) -> None:
    with gpiozero.MotionSensor(4, pin_factory=pins) as motion, gpiozero.LineSensor(14, pin_factory=pins) as line:
        seen = threading.Event()
        motion.when_motion = seen.set
        assert motion.wait_for_no_motion(10)  # the first reading makes no event
        board.request(press=4, for_s=1)
        assert seen.wait(10)
        assert motion.wait_for_no_motion(10)
        board.request(press=14, for_s=1)
        assert line.wait_for_no_line(10)  # of gpiozero: high is no line
    with gpiozero.RotaryEncoder(20, 21, max_steps=8, pin_factory=pins) as encoder:
        for steps, total in ((3, 3), (-5, -2)):
            board.request(turn=20, steps=steps)
            waiting.until(lambda total=total: encoder.steps == total, 10, f"{total} steps")


def test_sensors_that_measure_times(board: boards.BoardProcess, pins: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gpiozero.PWMSoftwareFallback)
        sensor = gpiozero.DistanceSensor(echo=24, trigger=23, queue_len=3, pin_factory=pins)
    with sensor:
        assert sensor.distance == pytest.approx(0.4, abs=0.01)
        board.request(adjust=23, distance_cm=80)
        waiting.until(lambda: sensor.distance == pytest.approx(0.8, abs=0.01), 10, "the target to have moved")
    with gpiozero.LightSensor(18, charge_time_limit=0.2, queue_len=3, pin_factory=pins) as light:
        assert light.value == pytest.approx(0.6, abs=0.1)
        board.request(adjust=18, light=0.2)
        waiting.until(lambda: light.value == pytest.approx(0.2, abs=0.1), 10, "the dusk")


def test_a_handler_may_switch_and_a_loop_returns_it(board: boards.BoardProcess, pins: Any) -> None:
    with gpiozero.LED(5, pin_factory=pins) as led, gpiozero.DigitalInputDevice(6, pin_factory=pins) as seen:
        rounds = 0

        def again() -> None:
            nonlocal rounds
            rounds += 1
            if rounds < 50:
                led.off()
                led.on()

        seen.when_activated = again
        led.on()
        waiting.until(lambda: rounds >= 50, 10, "50 rounds")


def test_what_a_pin_refuses(pins: Any) -> None:
    pin = pins.pin("GPIO10")
    assert pin is pins.pin("BOARD19")
    with pytest.raises(PinSetInput):
        pin.state = 1
    with pytest.raises(PinInvalidFunction):
        pin.function = "alt0"
    with pytest.raises(PinPWMFixedValue):
        pin.frequency = 100
    pin.function = "output"
    with pytest.raises(PinInvalidState):
        pin.state = 2
    with pytest.raises(PinFixedPull):
        pin.pull = "up"
    with pytest.raises(PinFixedPull):
        pins.pin(2).input_with_pull("down")
    with pytest.raises(PinSPIUnsupported):
        pins.spi()


# edges


def test_none_of_1000_edges_in_a_second_is_lost(board: boards.BoardProcess, pins: Any) -> None:
    edges: list[Edge] = []
    with gpiozero.DigitalInputDevice(26, pin_factory=pins):
        watch = pins.edges(26, edges.append)
        board.request(toggle=26, edges=1000, per_second=1000)
        waiting.until(lambda: watch.seen >= 1000, 10, "all edges")
        watch.close()
        board.request(set=26, level=True)
    assert (watch.seen, watch.lost) == (1000, 0)
    assert [edge.level for edge in edges] == [1, 0] * 500
    assert {b.at_ns - a.at_ns for a, b in pairwise(edges)} == {1_000_000}
    board.request(set=26)


def test_lost_edges_are_counted(board: boards.BoardProcess, pins: Any) -> None:
    with gpiozero.DigitalInputDevice(26, pin_factory=pins):
        edges: list[Edge] = []
        watch = pins.edges("GPIO26", edges.append)
        board.request(fault="lose_edges", pin=26, count=7)
        board.request(toggle=26, edges=10, per_second=1000)
        waiting.until(lambda: watch.seen >= 3, 10, "those that are left")
        assert [(edge.level, edge.lost) for edge in edges] == [(None, 7), (0, 0), (1, 0), (0, 0)]
        assert (watch.seen, watch.lost) == (3, 7)
    board.request(set=26)


def test_a_reader_that_stops_reading_costs_nobody_anything(tmp_path: Path, machine_lag: Any) -> None:
    with boards.board(tmp_path, queue=64) as board:
        slow, quick = make(board, name="slow"), make(board, name="quick")
        stuck, go_on = threading.Event(), threading.Event()

        def callback(_: Edge) -> None:
            stuck.set()
            go_on.wait(30)

        with gpiozero.DigitalInputDevice(26, pin_factory=slow), gpiozero.LED(10, pin_factory=quick) as led:
            watch = slow.edges(26, callback)
            board.request(toggle=26, edges=30_000, per_second=100_000)
            assert stuck.wait(10)
            begun = time.monotonic()
            led.blink(0.001, 0.001, n=50, background=False)
            assert time.monotonic() - begun < 2 + machine_lag.seconds
            waiting.until(lambda: board.line(26)["edges"] >= 30_000, 20, "all edges to have been")
            go_on.set()
            waiting.until(lambda: watch.seen + watch.lost >= 30_000, 20, "all edges to be accounted for")
            dropped = board.state()["clients"][0]["dropped"]
        assert (watch.seen + watch.lost, watch.lost) == (30_000, dropped)
        assert dropped > 0
        slow.close()
        quick.close()


# the loss of the board


def test_a_silent_board_is_lost_within_the_deadline(board: boards.BoardProcess, machine_lag: Any) -> None:
    pins = make(board, timeout_s=1)  # it is what all of this may take, too
    led = gpiozero.LED(10, pin_factory=pins)
    board.request(fault="silence", seconds=30)
    begun = time.monotonic()
    with pytest.raises(DeviceLost, match=r"no answer within 1 s|timed out"):
        led.on()
    with pytest.raises(DeviceLost):
        led.off()
    assert time.monotonic() - begun < 1.2 + machine_lag.seconds
    assert pins.lost is not None
    led.close()
    pins.close()


def test_a_board_that_dies_is_noticed_and_nothing_hangs(tmp_path: Path) -> None:
    with boards.board(tmp_path) as board:
        pins = make(board)
        lost = threading.Event()
        pins.link.when_lost = lambda _: lost.set()
        with gpiozero.PWMLED(10, pin_factory=pins), gpiozero.Button(17, pin_factory=pins) as button:
            board.process.kill()
            assert lost.wait(10)
            with pytest.raises(DeviceLost, match="is lost: the board has gone"):
                _ = button.value
        pins.close()
        with pytest.raises(NotConnected, match="no simulated board at"):
            make(board)


def test_a_line_that_another_has_is_refused(board: boards.BoardProcess, pins: Any) -> None:
    other = make(board, name="other")
    with gpiozero.LED(10, pin_factory=other), pytest.raises(Blocked, match=r"line 10 is used by other \(process \d+"):
        gpiozero.LED(10, pin_factory=pins)
    other.close()


# keep


def kept(pins: Any, pin: int = 22) -> gpiozero.LED:
    """As gpiod opens what it is to keep."""
    return gpiozero.LED(pin, initial_value=None, pin_factory=pins)


def test_an_output_is_kept_across_close_and_open(board: boards.BoardProcess) -> None:
    pins = make(board)
    led = gpiozero.LED(22, pin_factory=pins)
    led.on()
    after = board.last()
    pins.close(keep=True)
    led.close()
    assert (board.line(22)["level"], board.line(22)["owner"]) == (1, None)
    pins = make(board)
    with kept(pins) as led:
        assert led.is_lit
        pins.pin(22).keep = True  # one device's choice, while the factory goes on
    pins.close()
    pins = make(board)
    pulsed = gpiozero.PWMLED(22, initial_value=1, pin_factory=pins)
    assert pulsed.value == 1
    pins.pin(22).keep = True
    pulsed.close()  # which ends its pulses first
    pins.close()
    pins = make(board)
    pulsed = gpiozero.PWMLED(22, initial_value=1, pin_factory=pins)
    pins.close(keep=True)
    pulsed.close()
    assert [change for change in board.history(22, after) if change["level"] != 1] == []
    pins = make(board)
    kept(pins).close()
    assert board.line(22)["level"] == 0
    pins.close()


CLIENT = """
import sys, gpiozero
from observatory_gpiod import factories
pins = factories.make("simulated", {"socket": sys.argv[1]})
led = gpiozero.LED(22, initial_value=None, pin_factory=pins)
if len(sys.argv) > 2:
    led.on()
print(led.is_lit, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(("on_release", "changes"), [("hold", 0), ("input", 1)])
def test_an_output_is_kept_across_kill_9(on_release: str, changes: int, tmp_path: Path) -> None:
    with boards.board(tmp_path, on_release=on_release) as board:
        after = None
        for options in (["on"], [], []):
            command = [sys.executable, "-c", CLIENT, str(board.socket), *options]
            with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
                assert client.stdout is not None
                assert client.stdout.readline() == ("True\n" if on_release == "hold" or options else "False\n")
                after = after or board.last()
                os.kill(client.pid, signal.SIGKILL)
                client.wait(10)
            waiting.until(lambda: board.line(22)["owner"] is None, 10, "the line to be free")
        assert len(board.history(22, after)) == changes


# by name


def test_the_factory_is_the_one_that_is_named_or_none(board: boards.BoardProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "mock")
    monkeypatch.setenv("PIGPIO_ADDR", "nowhere.invalid")
    for name in ("lgpio", "rpigpio", "pigpio", "native"):
        with pytest.raises(NotConnected, match=f"the pin factory {name} cannot be made: "):
            factories.make(name)
    make(board).close()
    assert gpiozero.Device.pin_factory is None
    with pytest.raises(InvalidArgument, match="pin_factory is 'mock', expected one of lgpio, native, pigpio"):
        factories.make("mock")
    with pytest.raises(InvalidArgument, match="the pin factory simulated has no option chip, expected socket"):
        factories.make("simulated", {"chip": 0})
    with pytest.raises(InvalidArgument, match="socket is None"):
        factories.make("simulated")
