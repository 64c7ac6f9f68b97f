"""The simulated controller as a program, behind its real pseudo-terminal."""

from __future__ import annotations

import json
import re
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import observatory
import pytest
import serial
import waiting

from observatory_common.errors import CommandFailed
from observatory_focusd.simulator.faults import REPLY_FAULTS

ZERO = "T1=+000000,C1=+000000,T2=+000000,C2=+000000"
HOLD_S = 8 * 0.0034  # the EEPROM's bytes that a move may change hold the motors up
#: Junk is answered whatever came before it, and the status after it ends what is to be read: no waiting for silence.
END = re.compile(rb"(\?\r\n){3}(T1=[^\r\n]*)\r\n\Z")
GOLDEN: list[tuple[bytes, list[str]]] = [
    *[(text + b"\n", []) for text in b"1|1+|1-|1s|1X|1SS|1S |2Sx|1?|12|12345|15|1 +5".split(b"|")],
    *[(text + b"\n", ["$"]) for text in b"1+5|1+0|1+0000001|1+1234567|1-0000000|1S|2Z".split(b"|")],
    *[(text + b"\n", ["?"]) for text in b"1+12345678|1+00000001|1+12a|1+ 5|1+-5|1++5".split(b"|")],
    *[(text + b"\n", ["?"]) for text in b"3S|0Z|4+000001|5|S1|x| ?| 1S| |\0|??|?x|\n?".split(b"|")],
    *[(b"\n", []), (b"1" * 40 + b"\n", []), (b"1+%s\n" % (b"9" * 40), ["?"]), (b"X" * 40 + b"\n", ["?"])],
    *[(b"?\n", [ZERO]), (b"\n\n?\n", ["?", ZERO]), (b"?\r\n" * 3, [ZERO, "?", "?"]), (b"1+10\r1+20\r", ["$", "$"])],
    # beyond the list: the edge of the 16-byte buffer, commands in one write, CR and LF mixed, what only 2023 knows
    *[(b"1+" + b"1" * 14 + b"\n", ["?"]), (b"1+" + b"1" * 15 + b"\n", ["?"]), (b"1" + b"x" * 15 + b"\n", [])],
    *[(b"1" * 1000 + b"\n?\n", [ZERO]), (b"X" * 1000 + b"\n?\n", ["?", ZERO]), (b"1S\n2S\n?\n", ["$", "$", ZERO])],
    *[(b"?\r?\n", [ZERO, ZERO]), (b"\r?\n?\n", ["?", ZERO]), (b"#\n#1\n@\n", ["?", "?", "?"])],
]


class Line(serial.Serial):
    """The controller's port."""

    def __init__(self, daemon: observatory.Daemon) -> None:
        super().__init__(str(daemon.link), 9600, timeout=10, write_timeout=10)

    def fresh(self) -> Line:
        """In step again, both channels at rest at 0."""
        self.raw(b"")
        assert self.say(b"1Z\n2Z\n?\n") == ["$", "$", ZERO]
        return self

    def raw(self, text: bytes, chunk: int = 4096) -> bytes:
        """Everything that answers `text`, which is written in pieces of `chunk`."""
        data = bytearray()
        text += b"x\n" * 3 + b"?\n"
        for at in range(0, len(text), chunk):
            self.write(text[at : at + chunk])

        def collect() -> re.Match[bytes] | None:
            data.extend(self.read(self.in_waiting))
            return END.search(data)

        return bytes(data[: waiting.until(collect, 20, f"the answers to {text!r}").start()])

    def say(self, text: bytes, chunk: int = 4096) -> list[str]:
        """The whole lines that answer `text`."""
        data = self.raw(text, chunk).decode("ascii")
        assert data == "" or data.endswith("\r\n")
        return data.split("\r\n")[:-1]


def motor(daemon: observatory.Daemon, channel: int = 1, when: Callable[..., bool] = bool) -> dict[str, Any]:
    """The motor's state, as soon as it is the one that is waited for."""
    ask = daemon.simulator.state
    return waiting.until(lambda: when(now := ask()["channels"][str(channel)]) and now, 30, f"channel {channel}")


def at_rest(daemon: observatory.Daemon, channel: int = 1) -> dict[str, Any]:
    return motor(daemon, channel, lambda state: not state["moving"])


def stored(daemon: observatory.Daemon) -> tuple[int, ...]:
    return struct.unpack("<ii", (daemon.folder / "eeprom.bin").read_bytes()[:8])


def program(daemon: observatory.Daemon, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "observatory_focusd.simulator", *arguments]
    return subprocess.run(command, env=daemon.env, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[observatory.Daemon]:
    with observatory.daemon(tmp_path_factory.mktemp("simulator"), start=False) as running:
        yield running


@pytest.fixture
def line(shared: observatory.Daemon) -> Iterator[Line]:
    for name in ("clear", "replug"):
        shared.simulator.fault(name)
    with Line(shared) as opened:
        yield opened.fresh()


@pytest.mark.parametrize("chunk", [4096, 1], ids=["whole", "bytewise"])
@pytest.mark.parametrize(("text", "answer"), GOLDEN, ids=[repr(text)[2:22] for text, _ in GOLDEN])
def test_golden_vectors(text: bytes, answer: list[str], chunk: int, line: Line) -> None:
    assert line.say(text, chunk) == answer


def test_a_position_is_the_raw_one_rounded_down_in_six_digits_or_more(shared: observatory.Daemon) -> None:
    shown = {-1: "-000001", -64: "-000001", -65: "-000002", 63: "+000000", 64: "+000001", 63_999_999: "+999999"}
    shown |= {64_000_000: "+1000000", -63_999_936: "-999999", -63_999_937: "-1000000", -639_999_936: "-9999999"}
    for raw, text in (shown | {2**31 - 1: "+33554431", -(2**31): "-33554432"}).items():
        (shared.folder / "eeprom.bin").write_bytes(struct.pack("<ii", raw, -1))
        shared.simulator.fault("power_cut", seconds=0)
        waiting.until(lambda: shared.simulator.state()["port"], 10, "the port to come back")
        with Line(shared) as line:
            assert line.say(b"?\n") == [f"T1={text},C1={text},T2=-000001,C2=-000001"]  # channel 2 is blank


@pytest.mark.parametrize(
    ("firmware", "factor", "steps_per_s"), [("2022", 1, 61.03515625), ("2022", 20, 61.03515625), ("2023", 20, 97.65625)]
)
def test_speed(firmware: str, factor: int, steps_per_s: float, tmp_path: Path, machine_lag: Any) -> None:
    settings = {"firmware": firmware, "speed_factor": factor, "start": False}
    with observatory.daemon(tmp_path, **settings) as daemon, Line(daemon).fresh() as line:
        began = time.monotonic()
        line.say(b"1+%06d\n" % (100 * factor))
        end = at_rest(daemon)
        took_s, exact_s = time.monotonic() - began, 100 / steps_per_s
        assert exact_s - 0.001 <= end["halted_at_monotonic"] - end["started_at_monotonic"] <= exact_s + HOLD_S / factor
        assert exact_s - 0.01 <= took_s < exact_s + 1.5 + machine_lag.seconds
        assert end["current_raw"] == 100 * factor * (64 if firmware == "2022" else 16)


def test_channels_move_at_once_and_apart(line: Line, shared: observatory.Daemon) -> None:
    assert line.say(b"1+000300\n2-000030\n") == ["$", "$"]
    assert at_rest(shared, 2)["current_steps"] == -30
    assert 29 <= motor(shared, 1)["current_steps"] < 300  # meanwhile it went as far, and goes on
    assert line.say(b"2+000500\n") == ["$"]
    motor(shared, 2, lambda state: state["moving"] and state["current_steps"] > 5)
    assert line.say(b"1S\n") == ["$"]
    assert (motor(shared, 1)["moving"], motor(shared, 2)["moving"]) == (False, True)


def test_a_stop_keeps_the_remainder(line: Line, shared: observatory.Daemon) -> None:
    def stop() -> int:
        line.say(b"1+001000\n")
        motor(shared, 1, lambda state: state["current_steps"] >= 10)
        assert line.say(b"1S\n") == ["$"]
        return (raw := motor(shared)["current_raw"]) % 64 and raw

    raw = waiting.until(stop, 20, "a stop between two steps")
    shown = f"{raw // 64:+07d}"
    assert line.say(b"?\n") == [f"T1={shown},C1={shown},T2=+000000,C2=+000000"]
    assert motor(shared)["target_raw"] == raw == stored(shared)[0]
    line.say(f"1{shown}\n".encode())
    assert at_rest(shared)["current_raw"] == raw // 64 * 64


def test_a_new_target_and_a_zero_while_it_moves(line: Line, shared: observatory.Daemon) -> None:
    line.say(b"1+001000\n")
    motor(shared, 1, lambda state: state["current_steps"] >= 10)
    assert line.say(b"1-001000\n") == ["$"]
    turned = motor(shared)
    assert turned["target_steps"] == -1000 and turned["moving"]
    motor(shared, 1, lambda state: state["current_raw"] < turned["current_raw"] - 64)
    assert line.say(b"1Z\n?\n") == ["$", ZERO]
    zeroed = motor(shared)
    assert (zeroed["current_raw"], zeroed["target_raw"], zeroed["moving"]) == (0, 0, False)
    assert zeroed["true_raw"] < turned["true_raw"] - 64  # it stands where it was stopped, under another name
    assert line.say(b"?\n") == [ZERO] and motor(shared) == zeroed


def test_the_memory_holds_the_targets_alone(line: Line, shared: observatory.Daemon) -> None:
    assert stored(shared) == (0, 0)
    line.say(b"1+001000\n2-000007\n")
    assert stored(shared) == (64_000, -448)
    motor(shared, 1, lambda state: state["current_steps"] >= 10)
    line.say(b"?\n1\n1+12345678\n")
    assert stored(shared) == (64_000, -448)
    line.say(b"1S\n")
    assert stored(shared) == (motor(shared)["current_raw"], -448)
    line.say(b"1Z\n")
    assert stored(shared) == (0, -448)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_the_memory_outlives_the_program_and_nothing_else_does(number: int, tmp_path: Path) -> None:
    with observatory.daemon(tmp_path, start=False) as daemon:
        with Line(daemon) as line:
            line.fresh().say(b"1+001000\n2-000500\n")
            motor(daemon, 1, lambda state: state["current_steps"] >= 10)
            daemon.simulator.fault("late", delay_s=60)
            line.write(b"?\n")
            daemon.simulator_process.send_signal(number)
            assert daemon.simulator_process.wait(20) == (-number if number == signal.SIGKILL else 0)
            with pytest.raises(serial.SerialException):
                line.read(1)
        if number != signal.SIGKILL:
            assert {path.name for path in tmp_path.iterdir()} == {"eeprom.bin", "etc", "lock", "simulator.log"}
        daemon.start_simulator()
        with Line(daemon) as line:
            assert line.say(b"?\n") == ["T1=+001000,C1=+001000,T2=-000500,C2=-000500"]
        assert "Traceback" not in (tmp_path / "simulator.log").read_text()


def test_a_power_cut_makes_it_believe_it_is_there(line: Line, shared: observatory.Daemon) -> None:
    start = motor(shared)["true_steps"]
    line.say(b"1+001000\n")
    motor(shared, 1, lambda state: state["current_steps"] >= 10)
    shared.simulator.fault("power_cut", seconds=0.2)
    with pytest.raises(serial.SerialException):
        line.read(1)
    waiting.until(shared.link.exists, 10, "the port to come back")
    with Line(shared) as again:
        assert again.say(b"?\n") == ["T1=+001000,C1=+001000,T2=+000000,C2=+000000"]
        assert 10 <= at_rest(shared)["true_steps"] - start < 1000  # where it truly was left


def test_the_2023_firmware(tmp_path: Path) -> None:
    probes = {"28FF000000000001": 3.25, "28FF000000000002": None}
    settings = {"firmware": "2023", "simulated_channels": 1, "simulated_probes": probes}
    with observatory.daemon(tmp_path, start=False, **settings) as daemon, Line(daemon) as line:
        assert line.say(b"?\n") == ["T1=+000000,C1=+000000"]
        assert line.say(b"2+5\n2S\n1s\n1\n") == ["?", "?"]
        assert line.say(b"#\n#1\n#\n#0\n#\n#2\n#00\n") == ["0", "$", "1", "$", "0", "?", "?"]
        assert line.say(b"@\n@28FF000000000003\n") == [",".join(probes), "?"]
        began = time.monotonic()
        assert line.say(b"@28FF000000000001\n@28FF000000000002\n") == ["3.2500", "FAILED"]
        assert time.monotonic() - began >= 1.0  # it measures for a second
        assert line.say(b"1+000100\n?\n")[1].startswith("T1=+000100,C1=+0000")
        end = at_rest(daemon)
        assert end["current_raw"] == stored(daemon)[0] == 1600
        assert 1.023 <= end["halted_at_monotonic"] - end["started_at_monotonic"] <= 1.024 + HOLD_S


def test_faults_of_one_reply(line: Line, shared: observatory.Daemon) -> None:
    good, seen = ZERO.encode() + b"\r\n", set()

    def hurt(name: str, text: bytes = b"?\n", **details: Any) -> bytes:
        seen.add(name)
        shared.simulator.fault(name, **details)
        return line.raw(text)

    assert hurt("silence", b"2+123\n") == b"" and motor(shared, 2)["target_steps"] == 0
    assert hurt("lost", b"2+77\n") == b"" and motor(shared, 2)["target_steps"] == 77
    line.fresh()
    assert hurt("half") == good[: len(good) // 2]
    assert hurt("doubled") == good * 2
    assert hurt("nul") == b"\0\0\0" + good
    assert hurt("flood") == b"U" * 8192 + good
    assert hurt("echo") == b"?\r\n" + good
    noise = hurt("noise")
    assert noise.endswith(good) and 1 <= len(noise) - len(good) <= 40
    garbled = hurt("garbled", b"?\n" * 4, count=4)
    assert 1 <= sum(a != b for a, b in zip(garbled, good * 4, strict=True)) <= 4
    assert hurt("torn") == good.replace(b"C1=+000000", b"C1=+000256")
    began = time.monotonic()
    assert hurt("late", b"?\n1S\n", delay_s=0.5) == good + b"$\r\n"  # what follows waits behind it
    assert time.monotonic() - began >= 0.5
    assert seen == set(REPLY_FAULTS)
    assert line.raw(b"?\n") == good  # each has ended by itself


def test_faults_by_number_by_time_and_cleared(line: Line, shared: observatory.Daemon) -> None:
    shared.simulator.fault("doubled", count=2)
    assert line.say(b"?\n?\n?\n") == [ZERO] * 5
    began = time.monotonic()
    shared.simulator.fault("silence", seconds=0.3)
    waiting.until(lambda: line.write(b"x\n") and line.in_waiting, 10, "the silence to end")
    assert time.monotonic() - began >= 0.3
    line.fresh()
    shared.simulator.fault("lost", seconds=3600, count=1)
    line.write(b"?\n" * 3 + b"2+5\n")
    motor(shared, 2, lambda state: state["target_steps"] == 5)
    assert line.in_waiting == 0
    shared.simulator.fault("clear")
    assert line.say(b"2Z\n?\n") == ["$", ZERO]


def test_unplug_and_replug(line: Line, shared: observatory.Daemon) -> None:
    line.say(b"1+000020\n")
    old = str(shared.link.readlink())
    shared.simulator.fault("unplug")
    assert not shared.link.is_symlink() and shared.simulator.state()["port"] is None
    with pytest.raises(serial.SerialException):
        line.read(1)
    assert at_rest(shared)["current_steps"] == 20  # power was never lost
    shared.simulator.fault("replug")
    assert str(shared.link.readlink()) == shared.simulator.state()["port"] != old  # the old name is still held
    with Line(shared) as again:
        assert again.say(b"?\n") == ["T1=+000020,C1=+000020,T2=+000000,C2=+000000"]


def test_a_late_reply_does_not_outlive_the_port(line: Line, shared: observatory.Daemon) -> None:
    shared.simulator.fault("late", delay_s=10)
    line.write(b"2+5\n")
    motor(shared, 2, lambda state: state["target_steps"] == 5)
    for name in ("unplug", "replug"):
        shared.simulator.fault(name)
    began = time.monotonic()
    with Line(shared) as again:
        assert again.say(b"2S\n") == ["$"]
    assert time.monotonic() - began < 5


def test_an_echo_is_the_command_alone_after_a_carriage_return(line: Line, shared: observatory.Daemon) -> None:
    line.write(b"1S\r")
    assert line.read(3) == b"$\r\n"
    shared.simulator.fault("echo")
    assert line.say(b"?\r") == ["?", ZERO]


def test_a_stop_at_rest_leaves_when_it_halted(line: Line, shared: observatory.Daemon) -> None:
    line.say(b"1+000002\n")
    halted_at = at_rest(shared)["halted_at_monotonic"]
    line.say(b"1S\n")
    assert motor(shared)["halted_at_monotonic"] == pytest.approx(halted_at, abs=1e-6)


@pytest.mark.parametrize(("name", "detail"), [("silence", "count"), ("lost", "seconds"), ("power_cut", "seconds")])
def test_a_refused_request_changes_nothing(name: str, detail: str, line: Line, shared: observatory.Daemon) -> None:
    with pytest.raises(CommandFailed, match=detail):
        shared.simulator.fault(name, **{detail: -1})
    assert shared.link.exists()
    assert line.say(b"?\n") == [ZERO]


def test_a_state_folder_has_one_simulator(shared: observatory.Daemon) -> None:
    other = shared.folder / "other.json"
    other.write_text(json.dumps({"link": str(shared.folder / "other"), "eeprom": str(shared.folder / "eeprom.bin")}))
    second = program(shared, str(other))
    assert second.returncode == 78 and not (shared.folder / "other").is_symlink()
    assert str(shared.folder) in second.stderr and str(shared.simulator_process.pid) in second.stderr
    assert (program(shared, "--check", str(other)).returncode, bool(shared.simulator.state())) == (0, True)


def test_a_bad_config(shared: observatory.Daemon) -> None:
    bad = shared.folder / "bad.json"
    faulty = {'{\n"firmware": "2021"}': ":2: $.firmware", '{"link": "a",\n\n"channels": 3}': ":3: $.channels"}
    faulty |= {'{"channels":\n1}': ": $.channels", '{\n"speed": 2}': ":2: $.speed", '{\n"link": }': ":2: "}
    for text, where in faulty.items():
        bad.write_text(text)
        for result in (program(shared, str(bad)), program(shared, "--check", str(bad))):
            assert (result.returncode, result.stdout) == (78, "")
            assert result.stderr.startswith(f"{bad}:") and where in result.stderr and "Traceback" not in result.stderr
