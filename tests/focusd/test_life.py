"""A daemon's life: READY, watchdog, SIGTERM, exit codes, one owner of a state folder and of a port."""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import observatory
import pytest
import waiting
from notified import Notified

from observatory_common.errors import DaemonNotReachable

SEED_SAMPLE = """{
  "daemon": "localhost_test", # Run the server as this daemon. Daemon types are registered in `warwick.observatory.common.daemons`.
  "log_name": "focusd@test", # The name to use when writing messages to the observatory log.
  "control_machines": ["LocalHost"], # Machine names that are allowed to control (rather than just query) state. Machine names are registered in `warwick.observatory.common.IP`.
  "serial_port": "/dev/focuser", # Serial FIFO for communicating with the focuser
  "serial_baud": 9600, # Serial baud rate (always 9600)
  "serial_timeout": 5, # Serial comms timeout
  "idle_loop_delay": 5, # Delay in seconds between focuser status polls when idle
  "moving_loop_delay": 0.5, # Delay in seconds between focuser status polls when moving
  "move_timeout": 180 # Maximum time expected for a focus movement
}
"""  # noqa: E501 - as it stands in multifocusd's README


@pytest.fixture
def notified(tmp_path: Path) -> Iterator[Notified]:
    with Notified(tmp_path / "notify") as listener:
        yield listener


def start(daemon: observatory.Daemon, **env: str) -> subprocess.Popen[str]:
    """focusd, without waiting for anything."""
    return subprocess.Popen(
        [sys.executable, "-m", "observatory_focusd", str(daemon.config_path)],
        env={**daemon.env, **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_the_seeds_sample_config_starts_a_daemon_as_it_stands(tmp_path: Path) -> None:
    readme = re.sub(r" *#.*", "", SEED_SAMPLE)
    with observatory.daemon(tmp_path, start=False) as daemon:
        daemon.config_path.unlink()
        sample = tmp_path / "mine.json"
        sample.write_text(readme)
        # localhost_test has a fixed port: a network of its own keeps this test from meeting a daemon of this machine.
        script = "ip link set lo up && exec " + sys.executable + ' -m observatory_focusd "$0"'
        unshare = ["unshare", "--net", "--map-root-user", "sh", "-c", script, str(sample)]
        if subprocess.run(["unshare", "--net", "--map-root-user", "ip", "link"], capture_output=True, check=False).returncode:
            pytest.skip("needs network namespaces (unshare --net), which this machine does not allow")
        daemon.process = subprocess.Popen(unshare, env=daemon.env, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

        def status() -> str:
            inside = ["nsenter", "--user", "--net", "--preserve-credentials", "-t", str(daemon.process.pid)]
            command = [sys.executable, "-m", "observatory_cli.focus", "status"]
            env = {**daemon.env, "FOCUSD_CONFIG_PATH": str(sample)}
            return subprocess.run([*inside, *command], env=env, capture_output=True, text=True, timeout=30, check=False).stdout

        assert "OFFLINE" in waiting.until(status, 20, "an answer to `focus status`")
        assert daemon.terminate() == 0
        daemon.process.communicate()


def test_ready_only_when_the_socket_serves(tmp_path: Path, notified: Notified) -> None:
    with observatory.daemon(tmp_path, start=False) as daemon:
        daemon.process = start(daemon, NOTIFY_SOCKET=str(notified.path))
        waiting.until(lambda: notified.heard("READY=1"), 20, "READY")
        with daemon.connect() as focuser:
            assert focuser.report_status()["kind"] == "focusd"
        assert daemon.terminate() == 0
        daemon.process.communicate()
        assert len(notified.heard("READY=1")) == 1
        assert notified.heard("STOPPING=1")


def test_no_ready_when_the_port_is_taken(tmp_path: Path, notified: Notified) -> None:
    with observatory.daemon(tmp_path, start=False) as daemon, socket.create_server(("127.0.0.1", daemon.port)):
        process = start(daemon, NOTIFY_SOCKET=str(notified.path))
        output, _ = process.communicate(timeout=20)
        assert process.returncode == 78
        assert f"127.0.0.1 port {daemon.port}" in output
        assert not notified.heard("READY=1")


def test_a_second_daemon_on_one_state_folder_says_so(tmp_path: Path) -> None:
    with observatory.daemon(tmp_path) as daemon:
        config = json.loads(daemon.config_path.read_text())
        other = daemon.etc / "focusd" / "other.json"
        other.write_text(json.dumps({**config, "state_path": str(daemon.state_folder)}))
        command = [sys.executable, "-m", "observatory_focusd", str(other)]
        second = subprocess.run(command, env=daemon.env, capture_output=True, text=True, timeout=20, check=False)
        assert second.returncode == 78
        assert str(daemon.state_folder) in second.stderr
        assert "Traceback" not in second.stderr
        with daemon.connect() as focuser:
            assert focuser.report_status()["state"] == "idle"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_mid_move_stops_the_motor_and_ends_in_time(number: signal.Signals, tmp_path: Path, machine_lag) -> None:
    with observatory.daemon(tmp_path) as daemon:
        with daemon.connect() as focuser:
            job = focuser.set_focus(1, 3000)
            waiter_ended: list[dict] = []
            waiting.until(lambda: daemon.simulator.state()["channels"]["1"]["true_steps"] > 5, 10, "the motor to move")
            began = time.monotonic()
            daemon.process.send_signal(number)
            try:
                waiter_ended.append(focuser.wait(job["id"], 10))
            except DaemonNotReachable:
                pass  # the answer may be lost with the daemon; what counts is that nobody hangs
            assert daemon.process.wait(20) == 0
            assert time.monotonic() - began < 5 + machine_lag.seconds
        state = daemon.simulator.state()["channels"]["1"]
        assert not state["moving"]
        assert all(job["state"] == "stopped" for job in waiter_ended)
        journal = json.loads((daemon.state_folder / "journal.json").read_text())["channels"]["1"]
        assert (journal["position_steps"], journal["position_state"], journal["move"]) == (
            state["true_steps"],
            "confirmed",
            None,
        )
        daemon.start()
        with daemon.connect() as focuser:
            assert focuser.report_status()["position_state_1"] == "confirmed"


def test_a_signal_while_the_controller_is_silent_ends_in_time(tmp_path: Path, machine_lag) -> None:
    with observatory.daemon(tmp_path) as daemon:
        with daemon.connect() as focuser:
            focuser.set_focus(1, 3000)
        daemon.simulator.fault("silence", seconds=30)
        began = time.monotonic()
        assert daemon.terminate() == 0
        assert time.monotonic() - began < 5 + machine_lag.seconds
        daemon.simulator.fault("clear")
        daemon.start()
        # It could not be stopped then, and that was written down: it is stopped now.
        waiting.until(lambda: not daemon.simulator.state()["channels"]["1"]["moving"], 10, "the stop that was owed")


@contextmanager
def frozen(thread: int) -> Iterator[None]:
    """One thread of another process, stopped as by a debugger, while its other threads run on."""
    libc = ctypes.CDLL(None, use_errno=True)
    seize, interrupt, detach = 0x4206, 0x4207, 17
    for request in (seize, interrupt):
        if libc.ptrace(request, thread, None, None) != 0:
            pytest.skip(f"needs ptrace, which this machine does not allow: {os.strerror(ctypes.get_errno())}")
    os.waitpid(thread, 0x40000000)  # __WALL
    try:
        yield
    finally:
        assert libc.ptrace(detach, thread, None, None) == 0


def test_a_frozen_serial_worker_stops_the_watchdog_pings(tmp_path: Path, notified: Notified, machine_lag) -> None:
    with observatory.daemon(tmp_path, start=False) as daemon:
        period_s = 1.5
        daemon.process = start(daemon, NOTIFY_SOCKET=str(notified.path), WATCHDOG_USEC=str(int(period_s * 2e6)))
        waiting.until(lambda: len(notified.heard("WATCHDOG=1")) >= 3, 20, "three pings")
        names = {
            int(path.parent.name): path.read_text().strip() for path in Path(f"/proc/{daemon.process.pid}/task").glob("*/comm")
        }
        line = waiting.until(lambda: daemon.process.stdout.readline(), 10, "the log")
        while "the serial worker runs" not in line:
            line = daemon.process.stdout.readline()
        thread = int(re.search(r"thread=(\d+)", line)[1])
        assert thread in names
        with frozen(thread):
            with daemon.connect() as focuser:
                assert focuser.report_status()["kind"] == "focusd"  # all the rest is well
            frozen_at = time.monotonic()
            # Heard meanwhile, since a ping is dated when it is taken from the socket: one sent before would look late.
            waiting.until(lambda: notified.heard("WATCHDOG=1") and time.monotonic() - frozen_at > 3 * period_s, 30, "some time")
            late = [at for at in notified.heard("WATCHDOG=1") if at > frozen_at + period_s + 0.5 + machine_lag.seconds]
            assert not late
        waiting.until(lambda: notified.heard("WATCHDOG=1")[-1] > time.monotonic() - 1, 20, "pings again")
        assert daemon.terminate() == 0
        daemon.process.communicate()


def test_exit_codes_and_messages_of_the_program(tmp_path: Path) -> None:
    with observatory.daemon(tmp_path, start=False) as daemon:

        def focusd(*arguments: str) -> subprocess.CompletedProcess[str]:
            command = [sys.executable, "-m", "observatory_focusd", *arguments]
            return subprocess.run(command, env=daemon.env, capture_output=True, text=True, timeout=20, check=False)

        good = str(daemon.config_path)
        assert focusd("--check", good).returncode == 0
        assert focusd().returncode == 64
        assert focusd(good, "more").returncode == 64
        assert focusd("--version").stdout.startswith("focusd ")
        for text, complaint in (
            ("{", ":1: $: is no JSON"),
            ("[]", "must hold one object"),
            ('{"daemon": "localhost_tset"}', "did you mean localhost_test"),
        ):
            bad = tmp_path / "bad.json"
            bad.write_text(text)
            for arguments in (("--check", str(bad)), (str(bad),)):
                done = focusd(*arguments)
                assert done.returncode == 78
                assert complaint in done.stderr
                assert "Traceback" not in done.stderr
        assert focusd("/nonexistent.json").returncode == 78


def test_a_state_folder_that_cannot_be_made_is_a_bad_config(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with observatory.daemon(tmp_path, start=False, state_path=str(tmp_path / "file" / "state")) as daemon:
        process = start(daemon)
        output, _ = process.communicate(timeout=20)
        assert process.returncode == 78
        assert "state folder" in output
        assert "Traceback" not in output
