"""`gpio` and what takes a while: waiting, bars, Ctrl-C, what has no end, calibration by keys."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gpio_daemon
import pytest
import terminals
import waiting

DEVICES = [
    {"id": "lamp", "type": "LED", "pin": 18},
    {"id": "flap", "type": "AngularServo", "pin": 12, "initial_angle": 0},
    {"id": "free", "type": "AngularServo", "pin": 13},
    {"id": "filter", "type": "StepperMotor", "in1": 5, "in2": 6, "in3": 16, "in4": 26},
]
STEP_DEG = 5.625 / 64


@pytest.fixture(scope="module")
def gpiod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[gpio_daemon.Gpiod]:
    with gpio_daemon.daemon(tmp_path_factory.mktemp("gpiod"), DEVICES) as running:
        yield running


class Terminal(terminals.Terminal):
    """`gpio` on a pseudo-terminal."""

    def __init__(self, gpiod: gpio_daemon.Gpiod, *arguments: str, **env: str) -> None:
        super().__init__("observatory_cli.gpio", arguments, gpiod.env, **env)

    def press(self, key: str) -> None:
        """Press a key, once keys are waited for one by one."""
        waiting.until(lambda: not termios.tcgetattr(self.master)[3] & termios.ICANON, 20, "keys to be asked for")
        self.type(key)


def begin(gpiod: gpio_daemon.Gpiod, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "observatory_cli.gpio", *arguments]
    return subprocess.Popen(command, env=gpiod.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def state(gpiod: gpio_daemon.Gpiod, device: str) -> dict[str, Any]:
    with gpiod.connect() as gpio:
        found: dict[str, Any] = gpio.state(device)
        return found


def moving(gpiod: gpio_daemon.Gpiod, device: str) -> None:
    waiting.until(lambda: state(gpiod, device)["running"] is not None, 20, f"{device} to move")


def resting(gpiod: gpio_daemon.Gpiod, device: str) -> None:
    waiting.until(lambda: state(gpiod, device)["running"] is None, 20, f"{device} to rest")


def test_a_long_method_is_waited_for_in_silence(gpiod: gpio_daemon.Gpiod) -> None:
    start = gpiod.board.state()
    done = gpiod.gpio("lamp", "blink", "on_time=0.1", "off_time=0.1", "n=2")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [level for _, level in gpiod.board.went(18, start)] == [0, 1, 0, 1, 0]
    before = state(gpiod, "filter")["position_steps"]
    job = json.loads(gpiod.gpio("filter", "rotate", "angle=-9", "--json").stdout)
    assert (job["state"], job["result"]["position_steps"]) == ("succeeded", before - round(9 / STEP_DEG))


def test_what_has_no_end_goes_on_until_stop(gpiod: gpio_daemon.Gpiod) -> None:
    done = gpiod.gpio("lamp", "blink", "on_time=0.05", "off_time=0.05")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    known = gpiod.board.last()
    waiting.until(lambda: len(gpiod.board.levels(18, known)) > 3, 10, "the lamp to blink on")
    assert "   Running blink" in gpiod.gpio("lamp").stdout.splitlines()
    assert re.search(r"^lamp .* blink", gpiod.gpio("status").stdout, re.MULTILINE)
    assert gpiod.gpio("lamp", "stop").returncode == 0
    assert state(gpiod, "lamp")["running"] is None
    assert gpiod.board.line(18)["level"] == 0


def test_a_job_without_waiting_is_cancelled_by_its_id(gpiod: gpio_daemon.Gpiod) -> None:
    job = json.loads(gpiod.gpio("lamp", "on", "duration=600", "--no-wait", "--json").stdout)
    assert (job["state"], job["expected_end"] is None) == ("running", False)
    assert gpiod.gpio("cancel", job["id"]).stdout == ""
    resting(gpiod, "lamp")
    assert gpiod.board.line(18)["level"] == 0
    assert gpiod.gpio("lamp", "on", "duration=600", "--no-wait").stdout == ""
    assert gpiod.gpio("all-off").returncode == 0


def test_a_timeout_ends_the_waiting_and_not_the_move(gpiod: gpio_daemon.Gpiod) -> None:
    done = gpiod.gpio("lamp", "on", "duration=600", "--timeout", "0.5")
    assert done.returncode == 40
    assert "goes on" in done.stderr
    assert state(gpiod, "lamp")["running"] == "on"
    assert gpiod.gpio("lamp", "off").returncode == 0


def test_a_move_that_somebody_else_stops_is_no_success(gpiod: gpio_daemon.Gpiod) -> None:
    mover = begin(gpiod, "filter", "rotate", "angle=3600")
    moving(gpiod, "filter")
    assert gpiod.gpio("filter", "stop").returncode == 0
    _, error = mover.communicate(timeout=20)
    assert mover.returncode == 9
    assert re.fullmatch(r"error: filter rotate stopped at \S+ degrees: somebody has stopped it\n", error)


def test_a_progress_bar_with_the_remaining_time_on_a_terminal(gpiod: gpio_daemon.Gpiod) -> None:
    terminal = Terminal(gpiod, "filter", "rotate", "angle=180")
    terminal.see(r"filter rotate .*\d+ %  0:00:0\d left")
    assert terminal.end() == 0


def test_ctrl_c_stops_the_device_and_says_where(gpiod: gpio_daemon.Gpiod) -> None:
    terminal = Terminal(gpiod, "filter", "rotate", "angle=3600")
    terminal.see("left")
    terminal.type("\x03")
    assert terminal.end() == 156
    assert f"filter rotate stopped at {state(gpiod, 'filter')['position']:g} degrees" in terminal.output
    mover = begin(gpiod, "lamp", "on", "duration=600", "--json")
    moving(gpiod, "lamp")
    mover.send_signal(signal.SIGINT)
    said, complained = mover.communicate(timeout=20)
    assert (mover.returncode, complained) == (156, "\nlamp on stopped\n")
    assert json.loads(said)["state"] == "stopped"
    assert gpiod.board.line(18)["level"] == 0


def test_ctrl_c_at_any_instant_leaves_nothing_moving(gpiod: gpio_daemon.Gpiod) -> None:
    for delay_s in (0.02, 0.05, 0.08, 0.11, 0.15, 0.2):
        mover = begin(gpiod, "filter", "rotate", "angle=3600")
        threading.Event().wait(delay_s)
        mover.send_signal(signal.SIGINT)
        _, error = mover.communicate(timeout=20)
        before_main = "observatory_cli/gpio" not in error  # while Python itself was starting
        assert mover.returncode == 156 or (mover.returncode in (1, 130, -signal.SIGINT) and before_main), error
        assert state(gpiod, "filter")["running"] is None, error


def test_calibration_by_keys(gpiod: gpio_daemon.Gpiod) -> None:
    assert gpiod.gpio("filter", "zero").returncode == 0
    terminal = Terminal(gpiod, "calibrate", "filter")
    terminal.see("q: end")
    at = 0
    keys = {
        "+": 1,
        "\x1b[C": 1,
        "\x1b[A": 1,
        "]": 10,
        "\x1b[5~": 10,
        "-": -1,
        "\x1b[D": -1,
        "\x1b[B": -1,
        "[": -10,
        "\x1b[6~": -10,
    }
    for key, by in [*keys.items(), ("+", 1), ("+", 1)]:
        at += round(by / STEP_DEG)
        seen = len(terminal.output)
        terminal.press(key)
        shown = f"filter is at {at * STEP_DEG:.6g} degrees"
        waiting.until(lambda s=shown, n=seen: s in terminal.output[n:], 20, f"{shown} after {key!r}")
    assert state(gpiod, "filter")["position_steps"] == at == 22
    terminal.press("z")
    waiting.until(lambda: terminal.output.endswith("filter is at 0 degrees"), 20, "the new zero")
    terminal.press("++z+q")  # keys that arrive together
    assert terminal.end() == 0
    assert state(gpiod, "filter")["position_steps"] == 11
    assert "UNCERTAIN" not in terminal.output


@pytest.mark.parametrize(("key", "code"), [("\x1b", 0), ("\x04", 0), ("\x03", 156)])
def test_calibration_shows_what_is_uncertain_and_refused(gpiod: gpio_daemon.Gpiod, key: str, code: int) -> None:
    terminal = Terminal(gpiod, "calibrate", "free")
    terminal.see("free is at an unknown angle")
    terminal.press("+")
    terminal.see("error: free cannot rotate_by: its angle is not known; go to an angle first")
    terminal.press(key)
    assert terminal.end() == code


def test_ctrl_c_in_a_calibration_stops_the_move(gpiod: gpio_daemon.Gpiod) -> None:
    terminal = Terminal(gpiod, "calibrate", "filter")
    terminal.see("filter is at")
    terminal.press("]" * 30)
    moving(gpiod, "filter")
    waiting.until(lambda: termios.tcgetattr(terminal.master)[3] & termios.ISIG, 20, "Ctrl-C to be heard")
    terminal.type("\x03")
    assert terminal.end() == 156
    assert state(gpiod, "filter")["running"] is None


def test_calibration_by_options(gpiod: gpio_daemon.Gpiod) -> None:
    assert gpiod.gpio("flap", "angle", "angle=10").returncode == 0
    done = gpiod.gpio("calibrate", "flap", "--by", "-4.5")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert state(gpiod, "flap")["position"] == 5.5
    jobs = [json.loads(line) for line in gpiod.gpio("calibrate", "flap", "--by", "1", "--zero", "--json").stdout.splitlines()]
    assert [(job["kind"], job["state"]) for job in jobs] == [("flap.rotate_by", "succeeded"), ("flap.zero", "succeeded")]
    assert state(gpiod, "flap")["position"] == 0
    refused = gpiod.gpio("calibrate", "free", "--by", "1", "--zero")
    assert refused.returncode == 42
    assert gpiod.gpio("calibrate", "flap", "--by", "nan").returncode == 45


def test_a_daemon_that_restarts_under_a_move_leaves_its_end_unknown(tmp_path: Path) -> None:
    with gpio_daemon.daemon(tmp_path, DEVICES[3:]) as gpiod:
        mover = begin(gpiod, "filter", "rotate", "angle=3600")
        moving(gpiod, "filter")
        gpiod.kill()
        gpiod.start()
        _, error = mover.communicate(timeout=40)
        assert mover.returncode == 42, error
        assert "(filter.rotate)" in error and "not known" in error
        assert re.search(r"^   Position \S+ UNCERTAIN$", gpiod.gpio("filter").stdout, re.MULTILINE)
        assert re.search(r"^filter .* UNCERTAIN", gpiod.gpio("status").stdout, re.MULTILINE)
