"""`gpio` as its users run it: which gpiod and which device, words, values, JSON, help, completion, exit codes."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gpio_daemon
import pytest
import terminals

DEVICES = [
    {"id": "lamp", "type": "PWMLED", "pin": 18, "label": "Red lamp"},
    {"id": "door", "type": "Button", "pin": 17},
    {"id": "mood", "type": "RGBLED", "red": 4, "green": 5, "blue": 6},
    {"id": "horn", "type": "TonalBuzzer", "pin": 22},
    {"id": "flap", "type": "AngularServo", "pin": 12, "initial_angle": 0},
    {"id": "by_lamp", "type": "OutputDevice", "pin": 7},
]
COMMANDS = {"all-off", "calibrate", "cancel", "describe", "events", "init", "json", "kill", "list", "status"}
IDS = [device["id"] for device in DEVICES]
LAMP_METHODS = ["on", "off", "toggle", "blink", "pulse", "value", "stop"]


@pytest.fixture(scope="module")
def gpiod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[gpio_daemon.Gpiod]:
    with gpio_daemon.daemon(tmp_path_factory.mktemp("gpiod"), DEVICES) as running:
        yield running


def said(gpiod: gpio_daemon.Gpiod, *arguments: str, **env: str) -> str:
    """What a `gpio` that succeeds prints."""
    done = gpiod.gpio(*arguments, **env)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def value(gpiod: gpio_daemon.Gpiod, device: str) -> Any:
    with gpiod.connect() as gpio:
        return gpio.state(device)["value"]


def complete(gpiod: gpio_daemon.Gpiod, *words: str, **env: str) -> list[str]:
    """What the completion offers for the last of the words, in order."""
    asked = {"COMP_WORDS": " ".join(["gpio", *words]), "COMP_CWORD": str(len(words)), "_GPIO_COMPLETE": "bash_complete"}
    return [line.partition(",")[2] for line in gpiod.gpio(**asked, **env).stdout.splitlines() if line]


def site(gpiod: gpio_daemon.Gpiod, folder: Path, *names: str) -> dict[str, str]:
    """The environment of a site on which the gpiod goes by these names."""
    shutil.copytree(gpiod.etc / "observatory", folder / "observatory")
    (folder / "gpiod").mkdir()
    for name in names:
        shutil.copy(gpiod.config_path, folder / "gpiod" / f"{name}.json")
    return {"OBSERVATORY_ETC": str(folder)}


def test_status_is_a_table_and_a_device_some_lines(gpiod: gpio_daemon.Gpiod) -> None:
    said(gpiod, "lamp", "value", "value=0.25")
    lines = said(gpiod, "status", COLUMNS="40").splitlines()
    assert lines[0] == "gpiod test is READY"
    assert lines[1].split() == ["device", "type", "value", "active", "since", "set", "by", "position"]
    assert [line.split()[0] for line in lines[2:]] == IDS
    assert re.match(r"lamp +PWMLED +0.25 +yes +\d{4}-\S+T\S+ +LocalHost \(127.0.0.1\)", lines[2])
    assert re.match(r"by_lamp +OutputDevice +0 +no .* on_start", lines[-1])
    assert re.search(r"^flap .* 0 *$", "\n".join(lines), re.MULTILINE)
    shown = said(gpiod, "lamp").splitlines()
    assert shown[0] == "lamp (PWMLED, Red lamp): 0.25"
    assert re.fullmatch(r"   Since \S+Z, set by LocalHost \(127.0.0.1\)", shown[1])
    assert "   Position 0" in said(gpiod, "flap").splitlines()
    assert said(gpiod, "list").splitlines()[:2] == ["lamp     PWMLED        output  Red lamp", "door     Button        input"]


def test_json_is_one_object_on_a_line_whatever_is_asked(gpiod: gpio_daemon.Gpiod) -> None:
    for command in (["status"], ["json"], ["list"], ["describe"], ["describe", "door"], ["lamp"], ["events"], ["all-off"]):
        for words in (["--json", *command], [*command, "--json"]):
            lines = said(gpiod, *words, COLUMNS="40").splitlines()
            assert lines and all(isinstance(json.loads(line), dict) for line in lines), words
    state = json.loads(said(gpiod, "lamp", "--json"))
    assert (state["id"], state["type"], state["value"]) == ("lamp", "PWMLED", 0)
    assert [json.loads(line)["id"] for line in said(gpiod, "list", "--json").splitlines()] == IDS
    assert json.loads(said(gpiod, "describe", "mood", "--json"))["methods"][0]["name"] == "on"
    job = json.loads(said(gpiod, "lamp", "on", "--json"))
    assert (job["kind"], job["state"], job["started_by"]) == ("lamp.on", "succeeded", "LocalHost (127.0.0.1)")


@pytest.mark.parametrize(
    ("words", "device", "expected"),
    [
        (("lamp", "value", "value=0.5"), "lamp", 0.5),
        (("lamp", "value", "value=1"), "lamp", 1.0),
        (("lamp", "off"), "lamp", 0.0),
        (("lamp", "on", "duration=null"), "lamp", 1.0),
        (("mood", "value", "value=1,0,0.5"), "mood", [1, 0, 0.5]),
        (("mood", "value", "value=[0,1,0]"), "mood", [0, 1, 0]),
        (("horn", "play", "tone=A4"), "horn", 69),
        (("horn", "play", "tone=70"), "horn", 70),
        (("horn", "stop"), "horn", None),
        (("flap", "angle", "angle=-45"), "flap", -45.0),
        (("test", "by_lamp", "on"), "by_lamp", 1),
    ],
)
def test_values_are_what_they_look_like_and_success_is_silent(
    gpiod: gpio_daemon.Gpiod, words: tuple[str, ...], device: str, expected: Any
) -> None:
    assert said(gpiod, *words) == ""
    assert value(gpiod, device) == expected


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("nolamp",), 70, "expected lamp, door, mood, horn, flap, by_lamp; did you mean lamp?"),
        (("nolamp", "on"), 70, "there is no device 'nolamp'"),
        (("stauts",), 70, "did you mean status?"),
        (("describe", "moon"), 70, "there is no device 'moon'"),
        (("lamp", "blnk"), 47, "expected on, off, toggle, blink, pulse, value, stop; did you mean blink?"),
        (("lamp", "status"), 47, "has no method 'status', expected on"),
        (("lamp", "nothing", "--help"), 47, "lamp has no method 'nothing', expected on"),
        (("lamp", "__class__"), 47, "has no method"),
        (("door", "on"), 47, "none: it is an input"),
        (("lamp", "value"), 45, "lacks the argument value"),
        (("lamp", "value", "value=2"), 45, "from 0 to 1"),
        (("lamp", "value", "value=NaN"), 45, "value is nan"),
        (("lamp", "value", "value=bright"), 45, "value is 'bright'"),
        (("lamp", "value", "valeu=1"), 45, "did you mean value?"),
        (("lamp", "value", "value=99999999999999999999"), 45, "value is"),
        (("horn", "play", "tone=H4"), 45, "a note as A4"),
        (("mood", "value", "value=1,2,3"), 45, "value is 2"),
        (("cancel", "99"), 43, "there is no job '99'"),
        (("init",), 8, "in use already"),
        (("lamp", "value", "1"), 64, "'1' is no NAME=VALUE"),
        (("lamp", "value", "value=1", "value=0"), 64, "value is given twice"),
        (("lamp", "on", "--duration", "3"), 64, "No such option"),
        (("17",), 64, "17"),
        (("status", "lamp"), 64, "lamp"),
        (("cancel",), 64, "JOB"),
        (("calibrate", "flap"), 64, "there is no terminal with keys: give --by DEGREES"),
        (("calibrate", "lamp", "--by", "1"), 45, "expected flap"),
        (("calibrate", "flap", "--by", "far"), 64, "'far' is not a valid float"),
        (("north", "status"), 64, "there is no gpiod 'north' here, only: test"),
        (("lamp", "--timeout", "0"), 64, "above 0"),
        (("--config", "/nonexistent", "status"), 46, "there is no /nonexistent"),
    ],
)
def test_what_is_wrong_is_said_with_its_code_and_nothing_moves(
    gpiod: gpio_daemon.Gpiod, words: tuple[str, ...], code: int, says: str
) -> None:
    before = gpiod.board.last()
    done = gpiod.gpio(*words, "--json")
    assert done.returncode == code, done
    assert done.stderr.startswith("error: ") and says in done.stderr
    assert json.loads(done.stdout)["code"] == code
    assert gpiod.board.last() == before


def test_help_everywhere_and_nothing_is_no_error(gpiod: gpio_daemon.Gpiod) -> None:
    nothing = said(gpiod)
    assert set(re.findall(r"^  ([\w-]+) ", nothing.partition("Commands:")[2], re.MULTILINE)) == COMMANDS
    assert "What has no end" in nothing
    for command in COMMANDS:
        assert "Usage: gpio" in said(gpiod, command, "--help")
    assert re.fullmatch(r"gpio \d+\.\d+\.\d+\n", said(gpiod, "--version"))
    lamp = said(gpiod, "lamp", "--help")
    assert "lamp (PWMLED, Red lamp): A light that can be dimmed." in lamp
    assert re.findall(r"^  (\w+) ", lamp.partition("Methods:")[2], re.MULTILINE) == LAMP_METHODS
    assert "Methods:" not in said(gpiod, "door", "-h")


def test_the_help_of_a_method_has_units_ranges_and_defaults(gpiod: gpio_daemon.Gpiod) -> None:
    blink = said(gpiod, "lamp", "blink", "--help", COLUMNS="100")
    assert "Usage: gpio lamp blink [ARGUMENT=VALUE...]" in blink
    assert re.search(r"^  on_time=NUMBER +How long on; 0.001 to 86400 s; default 1$", blink, re.MULTILINE)
    assert "n=INTEGER How often; null: until stopped; 1 to 1000000000, or null; default null" in " ".join(blink.split())
    assert "What has no end goes on" in " ".join(blink.split())
    mood = " ".join(said(gpiod, "mood", "blink", "--help").split())
    assert "on_color=RED,GREEN,BLUE The colour when on; three numbers from 0 to 1; default 1,1,1" in mood
    angle = said(gpiod, "flap", "rotate_by", "--help")
    assert re.search(r"angle=NUMBER .* -180 to 180 degrees;\s+required", angle)
    assert "What has no end" not in angle
    described = said(gpiod, "describe", "lamp")
    assert "      on_time=NUMBER  How long on; 0.001 to 86400 s; default 1" in described.splitlines()
    assert "      changed (value, active, cause)  " in described
    assert "   An output; pin GPIO18" in described.splitlines()
    assert "   Configured: active_high=true frequency=100 on_start=off on_stop=off max_on_time=null" in described.splitlines()
    assert "   An output; red GPIO4, green GPIO5, blue GPIO6" in said(gpiod, "describe", "mood").splitlines()
    assert "   An input; pin GPIO17" in said(gpiod, "describe", "door").splitlines()


def test_everything_off_and_the_pins_let_go(gpiod: gpio_daemon.Gpiod) -> None:
    said(gpiod, "lamp", "on")
    said(gpiod, "by_lamp", "on")
    assert said(gpiod, "all-off") == ""
    assert [gpiod.board.line(pin)["level"] for pin in (18, 7)] == [0, 0]
    assert said(gpiod, "kill") == ""
    assert said(gpiod, "status").splitlines()[0] == "gpiod test is CLOSED"
    assert "Error: lamp is not open" in said(gpiod, "lamp")
    for command in (("lamp", "on"), ("kill",)):
        assert gpiod.gpio(*command).returncode == 7, command
    assert said(gpiod, "init") == ""
    said(gpiod, "lamp", "on")


def test_events_are_followed(gpiod: gpio_daemon.Gpiod) -> None:
    said(gpiod, "lamp", "off")
    command = [sys.executable, "-m", "observatory_cli.gpio", "events", "--follow", "--json"]
    follower = subprocess.Popen(command, env=gpiod.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said(gpiod, "lamp", "value", "value=0.125")
    lines = iter(follower.stdout.readline, "")
    assert any(json.loads(line)["data"].get("value") == 0.125 for line in lines)
    follower.send_signal(signal.SIGINT)
    assert follower.wait(10) == 156
    follower.communicate()
    assert re.search(r"^\S+Z lamp changed value=0.125 active=True cause=value$", said(gpiod, "events"), re.MULTILINE)


def test_which_gpiod_is_meant(gpiod: gpio_daemon.Gpiod, tmp_path: Path) -> None:
    two = site(gpiod, tmp_path, "east", "west")
    said(gpiod, "east", "lamp", "on", **two)
    assert json.loads(said(gpiod, "--json", "west", "lamp", **two))["value"] == 1
    which = gpiod.gpio("status", **two)
    assert which.returncode == 46
    assert "say which gpiod: east, west" in which.stderr
    config = str(tmp_path / "gpiod" / "east.json")
    for words in (("--config", config, "lamp"), ("lamp", "--config", config), ("lamp", "on", "--config", config)):
        said(gpiod, *words, **two)
    said(gpiod, "lamp", GPIOD_CONFIG_PATH=config, **two)
    both = gpiod.gpio("--config", config, "west", "status", **two)
    assert (both.returncode, "are both given" in both.stderr) == (64, True)
    assert set(complete(gpiod, "", **two)) == {"east", "west"} | COMMANDS
    assert set(complete(gpiod, "east", "", **two)) == COMMANDS | set(IDS)


def test_a_device_with_the_name_of_its_gpiod_needs_both(gpiod: gpio_daemon.Gpiod, tmp_path: Path) -> None:
    alike = site(gpiod, tmp_path, "lamp")
    for words in (("lamp",), ("lamp", "on")):
        unclear = gpiod.gpio(*words, **alike)
        assert unclear.returncode == 64
        assert "say `gpio lamp lamp` for the device" in unclear.stderr
    said(gpiod, "lamp", "lamp", "value", "value=0.75", **alike)
    assert value(gpiod, "lamp") == 0.75
    assert said(gpiod, "lamp", "list", **alike).startswith("lamp ")
    assert said(gpiod, "lamp", "by_lamp", **alike).startswith("by_lamp ")


def test_completion_knows_devices_methods_and_arguments(gpiod: gpio_daemon.Gpiod) -> None:
    assert set(complete(gpiod, "")) == {"test"} | set(IDS) | COMMANDS
    assert complete(gpiod, "l") == ["lamp", "list"]
    assert complete(gpiod, "lamp", "") == LAMP_METHODS
    assert complete(gpiod, "lamp", "--t") == ["--timeout"]
    assert complete(gpiod, "lamp", "blink", "o") == ["on_time=", "off_time="]
    assert complete(gpiod, "lamp", "blink", "on_time=1", "o") == ["off_time="]
    assert complete(gpiod, "lamp", "blink", "--n") == ["--no-wait"]
    assert complete(gpiod, "describe", "d") == ["door"]
    assert complete(gpiod, "calibrate", "") == ["flap"]
    for nothing in (("moon", ""), ("lamp", "moon", ""), ("--config", "/nonexistent", "lamp", "")):
        assert complete(gpiod, *nothing) == []


def test_a_gpiod_that_is_away_is_said_and_completes_to_nothing(tmp_path: Path) -> None:
    with gpio_daemon.daemon(tmp_path, DEVICES[:1], start=False) as away:
        for words in (("status",), ("lamp",), ("lamp", "on"), ("lamp", "--help"), ("all-off",), ("events", "--timeout", "1")):
            done = away.gpio(*words, timeout_s=20)
            assert done.returncode == 155, words
            assert re.fullmatch(r"error: cannot reach test_gpio at 127.0.0.1:\d+: .*\(is its gpiod running\?\)\n", done.stderr)
        assert set(complete(away, "")) == {"test"} | COMMANDS
        assert complete(away, "lamp", "") == []


def test_colours_on_terminals_only_and_never_with_no_color(gpiod: gpio_daemon.Gpiod) -> None:
    for command in ("status", "lamp"):
        assert "\x1b" not in said(gpiod, command)
        for env, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
            terminal = terminals.Terminal("observatory_cli.gpio", [command], gpiod.env, **env)
            assert terminal.end() == 0
            assert ("\x1b[1" in terminal.output, "\x1b" in terminal.output) == (coloured, coloured)


def test_a_reader_that_has_enough_sees_no_traceback(gpiod: gpio_daemon.Gpiod) -> None:
    for command in ("describe", "status"):
        line = f"{sys.executable} -m observatory_cli.gpio {command} | true"
        done = subprocess.run(["bash", "-c", line], env=gpiod.env, capture_output=True, text=True, timeout=30, check=False)
        assert (done.stdout, done.stderr) == ("", "")


def test_it_starts_fast_since_it_imports_little() -> None:
    program = "import sys; from observatory_cli.gpio import commands; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert not {"rich", "numpy", "gpiozero", "jsonschema", "asyncio", "Pyro5.server"} & set(done.stdout.split())


def test_completion_in_a_real_shell(gpiod: gpio_daemon.Gpiod) -> None:
    script = (
        "source etc/completion/bash/gpio; COMP_WORDS=(gpio test lamp bl); COMP_CWORD=3; _gpio_completion gpio; "
        'echo "${COMPREPLY[@]}"; '
        'COMP_WORDS=(gpio la); COMP_CWORD=1; COMPREPLY=(); _gpio_completion gpio; echo "${COMPREPLY[@]}"'
    )
    env = {**gpiod.env, "PATH": f"{Path(sys.executable).parent}:{gpiod.env['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", script], cwd=Path(__file__).parents[2], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.split() == ["blink", "lamp"], done
