"""What a review of focusd found: each of its ways to a wrong number or an unattended motor, now closed."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import observatory
import pytest
import serial
import vitals
import waiting

from observatory_common.errors import ObservatoryError
from observatory_common.rpc.client import RemoteDaemon


def truth(daemon: observatory.Daemon, channel: int = 1) -> dict:
    return daemon.simulator.state()["channels"][str(channel)]


def attempt(call) -> object:
    try:
        return call()
    except ObservatoryError as error:
        return error


def recovers(focuser: RemoteDaemon, state: str = "idle") -> dict:
    waiting.until(lambda: focuser.report_status()["state"] == state, 20, f"focusd to be {state}")
    return focuser.report_status()


def test_requests_while_it_connects_do_not_keep_it_from_connecting(tmp_path: Path) -> None:
    with observatory.daemon(tmp_path, start=False) as daemon:
        daemon.simulator.fault("silence", seconds=3)
        daemon.start(connected=False)
        with daemon.connect() as focuser:
            for _ in range(15):  # all through the silence and after it
                assert isinstance(attempt(focuser.stop_channel), ObservatoryError | dict)
                attempt(focuser.initialize)
            used = vitals.Vitals(daemon.process.pid).cpu_s()
            recovers(focuser)
            assert vitals.Vitals(daemon.process.pid).cpu_s() - used < 1.0
            assert vitals.Vitals(daemon.process.pid).threads() < 15


def test_a_port_that_is_slow_to_open_takes_one_thread(tmp_path: Path) -> None:
    with socket.socket() as full, observatory.daemon(tmp_path, start=False) as daemon:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiters = [socket.socket() for _ in range(4)]
        for waiter in waiters:
            waiter.setblocking(False)
            waiter.connect_ex(full.getsockname())
        url = f"socket://127.0.0.1:{full.getsockname()[1]}"
        daemon.config_path.write_text(daemon.config_path.read_text().replace(str(daemon.link), url))
        daemon.start(connected=False)
        with daemon.connect() as focuser:
            for _ in range(20):
                attempt(focuser.stop_channel)
        assert vitals.Vitals(daemon.process.pid).threads() < 15
        for waiter in waiters:
            waiter.close()


@pytest.mark.parametrize("other", ["set", "zero", "stop", "confirm"])
def test_a_stop_is_not_lost_behind_another_request_on_a_silent_line(other: str, tmp_path: Path) -> None:
    with observatory.daemon(tmp_path) as daemon, daemon.connect() as focuser:
        focuser.set_focus(1, 5000)
        waiting.until(lambda: truth(daemon)["moving"], 5, "the motor to move")
        daemon.simulator.fault("silence", seconds=2.2)
        calls = {
            "set": lambda client: client.set_focus(2, 500),
            "zero": lambda client: client.reset_home_position(2),
            "stop": lambda client: client.stop_channel(2),
            "confirm": lambda client: client.confirm_position(2),
        }

        def ask() -> None:
            with daemon.connect() as client:
                attempt(lambda: calls[other](client))

        asking = threading.Thread(target=ask)
        asking.start()
        threading.Event().wait(0.3)
        attempt(lambda: focuser.stop_channel(1))
        asking.join(20)
        waiting.until(lambda: not truth(daemon)["moving"], 10, "channel 1 to be stopped after all")
        recovers(focuser)
        assert truth(daemon)["true_steps"] < 5000
        assert not truth(daemon, 2)["moving"] or other == "set"


def test_an_owed_stop_does_not_end_a_move_that_was_asked_for_after_it(tmp_path: Path) -> None:
    with observatory.daemon(tmp_path) as daemon, daemon.connect() as focuser:
        for _ in range(5):
            daemon.simulator.fault("silence", seconds=1.5)
            attempt(lambda: focuser.stop_channel(1))
            daemon.simulator.fault("clear")
            here = truth(daemon)["true_steps"]
            job = waiting.until(lambda h=here: _started(focuser, h + 30), 10, "a move to be accepted")
            assert focuser.wait_for(job)["state"] == "succeeded"
            assert truth(daemon)["true_steps"] == here + 30


def _started(focuser: RemoteDaemon, steps: int) -> dict | None:
    job = attempt(lambda: focuser.set_focus(1, steps))
    return job if isinstance(job, dict) else None


@pytest.mark.parametrize("end", ["kill", "SIGTERM"])
def test_a_move_without_acknowledgement_is_not_left_running(end: str, tmp_path: Path) -> None:
    with observatory.daemon(tmp_path) as daemon, daemon.connect() as focuser:
        daemon.simulator.fault("lost", seconds=3.3)
        error = attempt(lambda: focuser.set_focus(1, 5000))
        assert isinstance(error, ObservatoryError)
        assert error.code == 41
        if end == "kill":
            attempt(focuser.shutdown)
        else:
            assert daemon.terminate() == 0
        assert not truth(daemon)["moving"]


def test_a_stop_of_a_channel_that_the_controller_lacks_breaks_nothing(tmp_path: Path) -> None:
    with observatory.daemon(tmp_path, confirm=False, firmware="2023", simulated_channels=1) as daemon:
        with daemon.connect() as focuser:
            focuser.confirm_position(1)
            focuser.set_focus(1, 5000)
            daemon.simulator.fault("unplug")
            attempt(focuser.stop_channel)  # all channels, while nobody knows how many there are
            daemon.simulator.fault("replug")
            waiting.until(lambda: not truth(daemon)["moving"], 15, "the stop")
            status = recovers(focuser)
            assert status["last_error"] is None
            refused = attempt(lambda: focuser.set_focus(2, 5))
            assert refused.code == 4
        assert "internal error" not in daemon.log_path.read_text()


def test_an_uncertain_move_is_watched_after_a_reconnection_too(tmp_path: Path) -> None:
    with observatory.daemon(tmp_path, confirm=False) as daemon, daemon.connect() as focuser:
        focuser.set_focus(1, 300, accept_uncertain=True)
        waiting.until(lambda: truth(daemon)["moving"], 5, "the motor to move")
        daemon.simulator.fault("unplug")
        waiting.until(lambda: focuser.report_status()["state"] == "connecting", 10, "the loss to be noticed")
        daemon.simulator.fault("replug")
        status = recovers(focuser, "moving")
        assert status["position_state_1"] == "uncertain"
        assert focuser.wait_for(focuser.job(status["job_1"]))["state"] == "succeeded"
        assert focuser.report_status()["position_state_1"] == "uncertain"


def test_what_runs_unasked_is_stopped(tmp_path: Path) -> None:
    with observatory.daemon(tmp_path) as daemon:
        with daemon.connect() as focuser:
            focuser.set_focus(1, 5000)
        daemon.kill()
        (daemon.state_folder / "journal.json").unlink()
        daemon.start()
        with daemon.connect() as focuser:
            waiting.until(lambda: not truth(daemon)["moving"], 10, "the motor to be stopped")
            assert recovers(focuser)["position_state_1"] == "uncertain"


class Server:
    """A device server: its TCP side stays open whatever becomes of the controller behind it."""

    def __init__(self, daemon: observatory.Daemon) -> None:
        self._daemon = daemon
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"socket://127.0.0.1:{self._listener.getsockname()[1]}"
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        self._end.set()
        self._thread.join(10)
        self._listener.close()

    def _run(self) -> None:
        self._listener.settimeout(20)
        connection, _ = self._listener.accept()
        connection.settimeout(0.005)
        port: serial.Serial | None = None
        with connection:
            while not self._end.is_set():
                try:
                    port = port or serial.Serial(str(self._daemon.link), timeout=0.005)
                    answer = port.read(100)
                except (OSError, serial.SerialException):
                    port = port.close() if port else None
                    answer = b""
                try:
                    connection.sendall(answer)
                    data = connection.recv(100)
                    if not data:
                        break
                    if port:
                        port.write(data)
                except TimeoutError:
                    continue
                except (OSError, serial.SerialException):
                    port = port.close() if port else None
        if port:
            port.close()


@contextmanager
def behind_a_server(folder: Path) -> Iterator[observatory.Daemon]:
    with observatory.daemon(folder, start=False) as daemon:
        server = Server(daemon)
        try:
            daemon.config_path.write_text(daemon.config_path.read_text().replace(str(daemon.link), server.url))
            daemon.start()
            with daemon.connect() as focuser:
                focuser.confirm_position(1)
            yield daemon
            daemon.terminate()
        finally:
            server.close()


@pytest.mark.parametrize(("steps", "after_steps", "outage_s"), [(50, 18, 0), (200, 40, 3), (500, 240, 3.5)])
def test_a_loss_of_power_behind_a_port_that_stays_open(steps: int, after_steps: int, outage_s: float, tmp_path: Path) -> None:
    with behind_a_server(tmp_path) as daemon, daemon.connect() as focuser:
        job = focuser.set_focus(1, steps)
        waiting.until(lambda: truth(daemon)["true_steps"] >= after_steps, 20, "some of the way")
        daemon.simulator.fault("power_cut", seconds=outage_s)
        job = focuser.wait_for(job)
        assert job["state"] in ("failed", "lost_device")
        status = recovers(focuser)
        assert truth(daemon)["true_steps"] < steps
        assert (status["current_steps_1"], status["position_state_1"]) == (steps, "uncertain")


def test_a_stop_after_a_loss_of_power_is_no_proof_either(tmp_path: Path) -> None:
    with behind_a_server(tmp_path) as daemon, daemon.connect() as focuser:
        focuser.set_focus(1, 200)
        waiting.until(lambda: truth(daemon)["true_steps"] >= 30, 20, "some of the way")
        daemon.simulator.fault("power_cut", seconds=3)
        attempt(lambda: focuser.stop_channel(1))
        assert recovers(focuser)["position_state_1"] == "uncertain"


def test_backlash_is_taken_up_after_an_interrupted_overshoot(tmp_path: Path) -> None:
    with observatory.daemon(tmp_path, channels=[{"backlash": 30}, {}]) as daemon, daemon.connect() as focuser:

        def sent() -> list[str]:
            lines = daemon.simulator.ask({"query": "lines"})["lines"]
            return [line.strip() for _, line in lines if line.startswith(("1+", "1-"))]

        focuser.wait_for(focuser.set_focus(1, 100))
        assert sent() == ["1+000100"]
        job = focuser.set_focus(1, 60)
        waiting.until(lambda: truth(daemon)["true_steps"] < 90, 10, "the way down")
        here = focuser.stop_channel(1)["stopped"][0]["position_steps"]
        assert focuser.job(job["id"])["state"] == "stopped"
        assert focuser.wait_for(focuser.set_focus(1, here))["state"] == "succeeded"
        assert sent()[-2:] == [f"1{here - 30:+07d}", f"1{here:+07d}"]
        assert focuser.wait_for(focuser.set_focus(1, here + 1))["state"] == "succeeded"
        assert sent()[-1:] == [f"1{here + 1:+07d}"]


def test_the_last_error_goes_when_it_is_well_again(tmp_path: Path) -> None:
    with observatory.daemon(tmp_path, idle_loop_delay=0.3) as daemon, daemon.connect() as focuser:
        daemon.simulator.fault("silence", seconds=1.2)
        waiting.until(lambda: focuser.report_status()["last_error"], 10, "the complaint")
        waiting.until(lambda: focuser.report_status()["last_error"] is None, 10, "its end")


@pytest.mark.parametrize("method", ["confirm_position", "reset_home_position"])
def test_what_cannot_be_written_is_not_confirmed(method: str, tmp_path: Path) -> None:
    with observatory.daemon(tmp_path, confirm=False, eeprom_steps=(70, 0)) as daemon, daemon.connect() as focuser:
        journal = daemon.state_folder / "journal.json"
        journal.unlink(missing_ok=True)
        journal.mkdir()
        with pytest.raises(RuntimeError, match="journal cannot be written"):
            focuser.invoke(method, 1)
        assert focuser.report_status()["position_state_1"] == "uncertain"
        journal.rmdir()
        focuser.invoke(method, 1)
        assert focuser.report_status()["position_state_1"] == "confirmed"


def test_a_port_whose_name_its_handler_chokes_on_is_told(tmp_path: Path) -> None:
    with observatory.daemon(tmp_path, start=False, serial_port="hwgrep://[") as daemon:
        daemon.start(connected=False)
        with daemon.connect() as focuser:
            assert "hwgrep" in waiting.until(lambda: focuser.report_status()["last_error"], 10, "the complaint")
            refused = attempt(focuser.initialize)
            assert "tried again" in str(refused)


def test_output_that_cannot_be_written(tmp_path: Path) -> None:
    import sys

    with observatory.daemon(tmp_path) as daemon:
        for command in ("focus status", "focus json", "focus --version", "observatory status"):
            module, *arguments = command.split()
            for redirection in ("> /dev/full", ">&-"):
                line = f"{sys.executable} -m observatory_cli.{module} {' '.join(arguments)} {redirection}"
                done = subprocess.run(
                    ["sh", "-c", line], env=daemon.env, capture_output=True, text=True, timeout=30, check=False
                )
                assert "Traceback" not in done.stderr, line
                assert done.returncode == (1 if "full" in redirection else 0), (line, done)


def test_a_check_of_a_registry_file_that_is_not_there(tmp_path: Path) -> None:
    import sys

    daemon = observatory.Daemon(tmp_path)
    for name, code in (("machines.json", 0), ("nonexist.json", 78)):
        command = [sys.executable, "-m", "observatory_cli.observatory", "check", str(daemon.etc / "observatory" / name)]
        assert subprocess.run(command, env=daemon.env, capture_output=True, check=False).returncode == code


@pytest.mark.parametrize("end", ["kill", "SIGTERM"])
def test_a_move_that_was_acknowledged_but_not_read_back_is_not_left_running(end: str, tmp_path: Path) -> None:
    with observatory.daemon(tmp_path, idle_loop_delay=60) as daemon, daemon.connect() as focuser:
        focuser.report_status()
        mover = threading.Thread(target=lambda: attempt(lambda: focuser_of(daemon, "set_focus", 1, 5000)))
        mover.start()
        waiting.until(lambda: truth(daemon)["moving"], 5, "the motor to move")
        daemon.simulator.fault("lost", seconds=3)
        mover.join(20)
        if end == "kill":
            attempt(focuser.shutdown)
        else:
            assert daemon.terminate() == 0
        waiting.until(lambda: not truth(daemon)["moving"], 5, "the motor to be stopped")


def focuser_of(daemon: observatory.Daemon, method: str, *args: object) -> object:
    with daemon.connect() as client:
        return client.invoke(method, *args)


@pytest.mark.parametrize("end", ["SIGTERM", "kill -9"])
def test_a_stop_that_was_promised_outlives_the_daemon(end: str, tmp_path: Path) -> None:
    with observatory.daemon(tmp_path, serial_timeout=1) as daemon:
        with daemon.connect() as focuser:
            focuser.set_focus(1, 5000)
            waiting.until(lambda: truth(daemon)["moving"], 5, "the motor to move")
            daemon.simulator.fault("unplug")
            refused = attempt(lambda: focuser.stop_channel(1))
            assert isinstance(refused, ObservatoryError)
            waiting.until(lambda: focuser.report_status()["state"] == "connecting", 10, "the loss to be noticed")
            attempt(lambda: focuser.stop_channel(1))
        if end == "SIGTERM":
            daemon.terminate()
        else:
            daemon.kill()
        assert truth(daemon)["moving"]
        daemon.simulator.fault("replug")
        daemon.start()
        waiting.until(lambda: not truth(daemon)["moving"], 10, "the promised stop")


def test_kill_without_a_connection_says_that_a_motor_may_run_and_init_stops_it(tmp_path: Path) -> None:
    with observatory.daemon(tmp_path, serial_timeout=1) as daemon, daemon.connect() as focuser:
        focuser.set_focus(1, 5000)
        waiting.until(lambda: truth(daemon)["moving"], 5, "the motor to move")
        daemon.simulator.fault("unplug")
        waiting.until(lambda: focuser.report_status()["state"] == "connecting", 10, "the loss to be noticed")
        refused = attempt(focuser.shutdown)
        assert isinstance(refused, ObservatoryError)
        assert "may be moving" in str(refused)
        assert focuser.report_status()["state"] == "offline"
        daemon.simulator.fault("replug")
        focuser.initialize()
        waiting.until(lambda: not truth(daemon)["moving"], 10, "the motor to be stopped")


def test_an_unacknowledged_zero_is_not_believed(tmp_path: Path) -> None:
    with observatory.daemon(tmp_path, idle_loop_delay=60, eeprom_steps=(50, 0)) as daemon, daemon.connect() as focuser:
        daemon.simulator.fault("lost", seconds=3.2)
        assert isinstance(attempt(lambda: focuser.reset_home_position(1)), ObservatoryError)
        assert focuser.report_status()["position_state_1"] == "uncertain"
