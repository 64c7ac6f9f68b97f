"""`focus` as its users run it: words, JSON, waiting, progress, Ctrl-C, and which daemon is meant."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import observatory
import pytest
import terminals
import waiting

from observatory_focusd import protocol

FAST = {"speed_factor": 20, "steps_per_s": 20 * protocol.FIRMWARE_2022.steps_per_s}


@pytest.fixture
def daemon(tmp_path: Path):
    with observatory.daemon(tmp_path, **FAST) as running:
        yield running


def truth(daemon: observatory.Daemon, channel: int = 1) -> dict:
    return daemon.simulator.state()["channels"][str(channel)]


class Terminal(terminals.Terminal):
    """`focus` on a pseudo-terminal."""

    def __init__(self, daemon: observatory.Daemon, *arguments: str, **env: str) -> None:
        super().__init__("observatory_cli.focus", arguments, daemon.env, **env)


def test_status_says_what_multifocusd_said(daemon) -> None:
    lines = daemon.focus("status").stdout.splitlines()
    assert re.fullmatch(r"Data received \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z:", lines[0])
    assert lines[1:] == ["Channel 1: +000000 steps", "Channel 2: +000000 steps"]
    assert daemon.focus("set", "1", "-30000", "--no-wait").returncode == 0
    under_way = r"^Channel 1: -\d{6} steps \(moving to -030000 steps\)$"  # the first reading may still be of the start
    waiting.until(lambda: re.search(under_way, daemon.focus("status").stdout, re.MULTILINE), 10, "the way to be shown")
    assert daemon.focus("stop").returncode == 0
    assert daemon.focus("kill").returncode == 0
    assert re.search(r"^Channel 1: OFFLINE \(last at -\d{6} steps\)$", daemon.focus("status").stdout, re.MULTILINE)


def test_an_uncertain_position_is_said_and_confirmed(tmp_path: Path) -> None:
    with observatory.daemon(tmp_path, confirm=False, eeprom_steps=(123, 1_234_567)) as daemon:
        shown = daemon.focus("status").stdout
        assert "Channel 1: +000123 steps UNCERTAIN: see `focus confirm 1`" in shown
        assert "Channel 2: +1234567 steps UNCERTAIN" in shown
        refused = daemon.focus("set", "1", "200")
        assert refused.returncode == 42
        assert "focus confirm 1" in refused.stderr
        assert daemon.focus("set", "1", "124", "--accept-uncertain").returncode == 0
        assert "UNCERTAIN" in daemon.focus("status").stdout
        assert daemon.focus("confirm", "1", "--yes").returncode == 0
        assert daemon.focus("set", "1", "130").returncode == 0
        assert daemon.focus("zero", "2", "--yes").returncode == 0
        assert "Channel 2: +000000 steps" in daemon.focus("status").stdout.splitlines()


def test_json_is_json_however_long_its_lines(daemon) -> None:
    for arguments in (("json",), ("status", "--json"), ("--json", "status")):
        done = daemon.focus(*arguments, COLUMNS="40")
        assert len(done.stdout.splitlines()) == 1
        status = json.loads(done.stdout)
        assert (status["kind"], status["current_steps_1"], status["status_label_2"]) == ("focusd", 0, "IDLE")
    job = json.loads(daemon.focus("set", "1", "100", "--json").stdout)
    assert (job["state"], job["result"]["position_steps"]) == ("succeeded", 100)
    job = json.loads(daemon.focus("set", "1", "30000", "--json", "--no-wait").stdout)
    assert job["state"] == "running"
    stopped = json.loads(daemon.focus("stop", "--json").stdout)["stopped"]
    assert [channel["channel"] for channel in stopped] == [1, 2]
    assert stopped[0]["position_steps"] == truth(daemon)["true_steps"]


def test_a_move_is_silent_and_ends_where_it_should(daemon) -> None:
    done = daemon.focus("set", "1", "300")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert truth(daemon)["true_steps"] == 300
    assert daemon.focus("offset", "1", "-450").returncode == 0
    assert truth(daemon)["true_steps"] == -150
    assert daemon.focus("offset", "1", "+50").returncode == 0
    assert truth(daemon)["true_steps"] == -100
    assert daemon.focus("set", "2", "-7").returncode == 0
    assert truth(daemon, 2)["true_steps"] == -7


def test_a_timeout_ends_the_waiting_and_not_the_move(daemon) -> None:
    started = time.monotonic()
    done = daemon.focus("set", "1", "1000000", "--timeout", "0.5")
    assert done.returncode == 40
    assert "goes on" in done.stderr
    assert time.monotonic() - started < 20
    assert truth(daemon)["moving"]
    blocked = daemon.focus("set", "1", "0")
    assert blocked.returncode == 2
    assert "LocalHost (127.0.0.1)" in blocked.stderr
    assert daemon.focus("stop").returncode == 0


def test_two_positions_seven_digits_and_exit_codes(daemon) -> None:
    assert daemon.focus("set", "1", "1000000", "--no-wait").returncode == 0
    waiting.until(lambda: truth(daemon)["true_steps"] > 50, 10, "the motor to move")
    assert "(moving to +1000000 steps)" in daemon.focus("status").stdout
    assert daemon.focus("stop", "1").returncode == 0
    assert not truth(daemon)["moving"]
    assert f"Channel 1: {truth(daemon)['true_steps']:+07d} steps" in daemon.focus("status").stdout.splitlines()


def test_a_progress_bar_with_the_remaining_time_on_a_terminal(daemon) -> None:
    terminal = Terminal(daemon, "set", "1", "4000")
    terminal.see(r"Channel 1 .*\d+ %  0:00:0\d left")
    assert terminal.end() == 0
    assert truth(daemon)["true_steps"] == 4000


def test_ctrl_c_on_a_terminal_stops_the_motor_and_says_where(daemon) -> None:
    terminal = Terminal(daemon, "set", "1", "1000000")
    terminal.see("left")
    terminal.type("\x03")
    assert terminal.end() == 156
    assert not truth(daemon)["moving"]
    assert f"channel 1 stopped at {truth(daemon)['true_steps']:+07d} steps" in terminal.output


def test_ctrl_c_at_any_instant_leaves_no_motor_running(daemon) -> None:
    for delay_s in (0.02, 0.05, 0.08, 0.11, 0.15):
        mover = daemon.start_focus("set", "1", "1000000")
        threading.Event().wait(delay_s)
        mover.send_signal(signal.SIGINT)
        _, error = mover.communicate(timeout=20)
        before_main = "observatory_common" not in error and "/commands.py" not in error  # while Python itself was starting
        assert mover.returncode == 156 or (mover.returncode in (1, 130, -signal.SIGINT) and before_main), error
        assert not truth(daemon)["moving"], error


@pytest.mark.parametrize(
    ("answer", "code", "state"), [("y\n", 0, "confirmed"), ("n\n", 156, "uncertain"), ("\n", 156, "uncertain")]
)
def test_zero_and_confirm_ask(answer: str, code: int, state: str, tmp_path: Path) -> None:
    with observatory.daemon(tmp_path, confirm=False, eeprom_steps=(50, 0)) as daemon:
        terminal = Terminal(daemon, "confirm", "1")
        terminal.see(r"channel 1 at \+000050 steps\. Is it there\? \[y/N\]")
        terminal.type(answer)
        assert terminal.end() == code
        with daemon.connect() as focuser:
            assert focuser.report_status()["position_state_1"] == state
        terminal = Terminal(daemon, "zero", "1")
        terminal.see(r"position of channel 1 zero\? \[y/N\]")
        terminal.type(answer)
        assert terminal.end() == code
        assert truth(daemon)["current_steps"] == (0 if code == 0 else 50)


def test_colours_on_terminals_only_and_never_with_no_color(daemon) -> None:
    assert "\x1b" not in daemon.focus("status").stdout
    for env, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        terminal = Terminal(daemon, "status", **env)
        assert terminal.end() == 0
        assert ("\x1b[1m" in terminal.output) is coloured


def test_watch_shows_each_change_and_outlives_the_daemon(daemon) -> None:
    watcher = daemon.start_focus("status", "--watch", "--json")
    lines: list[dict] = []
    reader = threading.Thread(target=lambda: lines.extend(json.loads(line) for line in watcher.stdout))
    reader.start()
    waiting.until(lambda: len(lines) == 1, 10, "the first line")
    assert daemon.focus("set", "1", "2000").returncode == 0
    waiting.until(lambda: lines[-1]["current_steps_1"] == 2000, 10, "the end of the move")
    assert any(line["moving_1"] for line in lines)
    daemon.kill()
    assert "cannot reach" in watcher.stderr.readline()
    daemon.start()
    waiting.until(lambda: lines[-1]["boot_id"] != lines[0]["boot_id"], 20, "the new daemon")
    watcher.send_signal(signal.SIGINT)
    assert watcher.wait(10) == 156
    reader.join(5)
    watcher.stdout.close()
    watcher.stderr.close()


def test_which_config_is_meant(daemon, tmp_path: Path) -> None:
    etc = daemon.etc / "focusd"
    other = tmp_path / "elsewhere" / "other.json"
    other.parent.mkdir()
    other.write_text(daemon.config_path.read_text())
    assert daemon.focus("status").returncode == 0
    (etc / "second.json").write_text(daemon.config_path.read_text())
    ambiguous = daemon.focus("status")
    assert ambiguous.returncode == 46
    assert "second.json, test.json" in ambiguous.stderr
    assert daemon.focus("--config", str(other), "status").returncode == 0
    assert daemon.focus("status", "--config", str(other)).returncode == 0
    assert daemon.focus("status", FOCUSD_CONFIG_PATH=str(other)).returncode == 0
    assert daemon.focus("status", FOCUSD_CONFIG_PATH=str(other.parent)).returncode == 0
    assert daemon.focus("status", FOCUSD_CONFIG_PATH="/nonexistent").returncode == 46


def test_help_everywhere_and_nothing_is_no_error(daemon) -> None:
    nothing = daemon.focus()
    assert (nothing.returncode, nothing.stderr) == (0, "")
    commands = re.findall(r"^  (\w+) ", nothing.stdout.partition("Commands:")[2], re.MULTILINE)
    assert {"status", "json", "set", "offset", "stop", "zero", "confirm", "init", "kill", "fans"} == set(commands)
    for command in commands:
        shown = daemon.focus(command, "--help")
        assert shown.returncode == 0
        assert "Usage: focus" in shown.stdout
    assert re.fullmatch(r"focus \d+\.\d+\.\d+\n", daemon.focus("--version").stdout)


def test_a_reader_that_has_enough_sees_no_traceback(daemon) -> None:
    command = f"{sys.executable} -m observatory_cli.focus json | true"
    done = subprocess.run(["bash", "-c", command], env=daemon.env, capture_output=True, text=True, timeout=30, check=False)
    assert (done.stdout, done.stderr) == ("", "")


def test_a_daemon_that_is_away_is_said_within_its_time(daemon) -> None:
    daemon.terminate()
    for command in (("status",), ("set", "1", "5"), ("stop",), ("json", "--timeout", "1")):
        done = daemon.focus(*command, timeout_s=20)
        assert done.returncode == 155
        assert re.fullmatch(r"error: cannot reach test_focuser at 127.0.0.1:\d+: .*\(is its focusd running\?\)\n", done.stderr)


def test_completion_knows_commands_options_and_the_channels_of_the_config(tmp_path: Path) -> None:
    with observatory.daemon(tmp_path, start=False, channels=[{}]) as daemon:

        def complete(*words: str) -> set[str]:
            env = {"COMP_WORDS": " ".join(["focus", *words]), "COMP_CWORD": str(len(words)), "_FOCUS_COMPLETE": "bash_complete"}
            return {line.partition(",")[2] for line in daemon.focus(**env).stdout.splitlines() if line}

        assert {"set", "stop", "status"} == complete("s")
        assert {"1"} == complete("set", "")
        assert {"--no-wait"} == complete("set", "--n")
        two = tmp_path / "two.json"
        two.write_text(daemon.config_path.read_text().replace("[\n    {}\n  ]", "[{}, {}]"))
        assert {"1", "2"} == complete("--config", str(two), "stop", "")
        assert {"enable", "disable"} == complete("fans", "")
        assert set() == complete("--config", "/nonexistent", "set", "")
