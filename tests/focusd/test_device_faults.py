"""Every fault that the simulated controller knows: each call stays within its time, nothing hangs, nothing lies."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import observatory
import pytest
import serial
import waiting

from observatory_common.errors import DeviceLost, NotConnected, ObservatoryError
from observatory_focusd import protocol
from observatory_focusd.simulator.faults import REPLY_FAULTS

COMMAND_WITHIN_S = 4.7  # begin within 1.2 s, end within 3.5 s
STATUS_WITHIN_S = 0.5
BACK_WITHIN_S = 5.0


def truth(daemon: observatory.Daemon, channel: int = 1) -> dict:
    return daemon.simulator.state()["channels"][str(channel)]


def timed(call: Callable[[], object]) -> tuple[float, object]:
    """How long a call took, and its answer or error."""
    started = time.monotonic()
    try:
        answer = call()
    except ObservatoryError as error:
        answer = error
    return time.monotonic() - started, answer


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[observatory.Daemon]:
    with observatory.daemon(tmp_path, serial_timeout=1, idle_loop_delay=0.5) as running:
        yield running


@contextmanager
def status_stays_quick(daemon: observatory.Daemon, machine_lag) -> Iterator[None]:
    """A client that polls the status meanwhile: the slowest answer must be quick."""
    slowest, end = [0.0], threading.Event()

    def poll() -> None:
        with daemon.connect() as watcher:
            while not end.wait(0.02):
                took_s, answer = timed(watcher.report_status)
                assert isinstance(answer, dict), answer
                slowest[0] = max(slowest[0], took_s)

    poller = threading.Thread(target=poll)
    poller.start()
    try:
        yield
    finally:
        end.set()
        poller.join(20)
    assert 0 < slowest[0] < STATUS_WITHIN_S + machine_lag.seconds


@pytest.mark.parametrize("fault", REPLY_FAULTS)
def test_calls_stay_within_their_time_and_the_truth_comes_back(fault: str, daemon, machine_lag) -> None:
    with daemon.connect() as focuser, status_stays_quick(daemon, machine_lag):
        focuser.set_focus(1, 5000)
        daemon.simulator.fault(fault, seconds=2.5, delay_s=0.8)
        for call in (
            lambda: focuser.set_focus(2, 100),
            lambda: focuser.stop_channel(2),
            lambda: focuser.confirm_position(2),
            lambda: focuser.set_focus(1, 5),  # Blocked, or the device is away
            lambda: focuser.stop_channel(),
        ):
            took_s, _ = timed(call)
            assert took_s < COMMAND_WITHIN_S + machine_lag.seconds
        daemon.simulator.fault("clear")
        waiting.until(lambda: focuser.report_status()["state"] == "idle", BACK_WITHIN_S + 10, "the daemon to be well again")
        for channel in (1, 2):
            status, true = focuser.report_status(), truth(daemon, channel)
            assert not true["moving"]  # both stops have reached the controller, at once or later
            assert status[f"current_steps_{channel}"] == true["true_steps"]
        if focuser.report_status()["position_state_1"] != "confirmed":
            focuser.confirm_position(1)
        here = truth(daemon)["true_steps"]
        assert focuser.wait_for(focuser.set_focus(1, here + 20))["state"] == "succeeded"
        assert truth(daemon)["true_steps"] == here + 20


def test_unplug_and_replug_under_another_name(daemon, machine_lag) -> None:
    with daemon.connect() as focuser:
        for _ in range(3):
            job = focuser.set_focus(1, truth(daemon)["true_steps"] + 3000)
            name = daemon.simulator.state()["port"]
            daemon.simulator.fault("unplug")
            took_s, error = timed(lambda: focuser.set_focus(2, 50))
            assert isinstance(error, ObservatoryError)
            assert took_s < COMMAND_WITHIN_S + machine_lag.seconds
            assert focuser.wait_for(job)["state"] == "lost_device"
            assert focuser.report_status()["current_steps_1"] is None
            with name_taken(name):
                daemon.simulator.fault("replug")
            back = time.monotonic()
            assert daemon.simulator.state()["port"] != name
            waiting.until(lambda: focuser.report_status()["state"] == "moving", 20, "the controller to be found again")
            assert time.monotonic() - back < BACK_WITHIN_S + machine_lag.seconds
            status = focuser.report_status()
            assert status["position_state_1"] == "confirmed"  # it kept its power: two readings on the way to the target
            stopped = focuser.stop_channel(1)["stopped"][0]["position_steps"]
            assert stopped == truth(daemon)["true_steps"]


@contextmanager
def name_taken(name: str) -> Iterator[None]:
    """Takes the name as soon as it is free, so that the controller must come back under another."""
    descriptors: list[int] = []

    def taken() -> bool:
        descriptors.extend(os.openpty())
        return os.ttyname(descriptors[-1]) == name

    try:
        waiting.until(taken, 10, f"{name} to be free")
        yield
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def test_a_stop_asked_for_while_the_device_is_away_is_carried_out_when_it_is_back(daemon) -> None:
    with daemon.connect() as focuser:
        focuser.set_focus(1, 5000)
        daemon.simulator.fault("unplug")
        _, error = timed(lambda: focuser.stop_channel(1))
        assert isinstance(error, ObservatoryError)
        assert truth(daemon)["moving"]
        daemon.simulator.fault("replug")
        waiting.until(lambda: not truth(daemon)["moving"], BACK_WITHIN_S + 10, "the stop")


def test_a_power_cut_in_mid_move_makes_the_position_uncertain(daemon) -> None:
    with daemon.connect() as focuser:
        job = focuser.set_focus(1, 4000)
        waiting.until(lambda: truth(daemon)["true_steps"] > 20, 10, "the motor to move")
        daemon.simulator.fault("power_cut", seconds=0.3)
        job = focuser.wait_for(job)
        assert job["state"] in ("lost_device", "failed")
        waiting.until(lambda: focuser.report_status()["state"] == "idle", BACK_WITHIN_S + 10, "the controller to be back")
        status = focuser.report_status()
        assert (status["current_steps_1"], status["position_state_1"]) == (4000, "uncertain")
        assert (status["last_confirmed_steps_1"], status["position_state_2"]) == (0, "confirmed")


def test_a_torn_reading_moves_and_ends_nothing(daemon) -> None:
    with daemon.connect() as focuser:
        job = focuser.set_focus(1, 120)
        daemon.simulator.fault("torn", count=1)
        job = focuser.wait_for(job)
        assert (job["state"], truth(daemon)["true_steps"]) == ("succeeded", 120)


def test_focusd_starts_and_serves_without_a_device(tmp_path: Path, machine_lag) -> None:
    with observatory.daemon(tmp_path, start=False) as daemon:
        daemon.simulator.fault("unplug")
        daemon.start(connected=False)
        with daemon.connect() as focuser:
            waiting.until(lambda: focuser.report_status()["last_error"], 10, "the absence to be noticed")
            status = focuser.report_status()
            assert status["state"] == "connecting"
            assert (status["current_steps_1"], status["moving_1"], status["position_state_1"]) == (None, None, "uncertain")
            for call in (lambda: focuser.set_focus(1, 5), focuser.initialize, focuser.stop_channel):
                took_s, error = timed(call)
                assert isinstance(error, ObservatoryError)
                assert took_s < COMMAND_WITHIN_S + machine_lag.seconds
            daemon.simulator.fault("replug")
            began = time.monotonic()
            waiting.until(lambda: focuser.report_status()["state"] == "idle", 20, "the controller to be found")
            assert time.monotonic() - began < BACK_WITHIN_S + machine_lag.seconds


def test_after_kill_nothing_reconnects_until_init(daemon) -> None:
    with daemon.connect() as focuser:
        focuser.shutdown()
        daemon.simulator.fault("unplug")
        daemon.simulator.fault("replug")
        waiting.until(lambda: focuser.report_status()["state"] == "offline", 5, "offline")
        polled = daemon.simulator.state()["commands_received"]["?"]
        waiting.until(lambda: threading.Event().wait(3) or True, 5, "some time")
        assert focuser.report_status()["state"] == "offline"
        assert daemon.simulator.state()["commands_received"]["?"] == polled
        focuser.initialize()
        assert focuser.report_status()["state"] == "idle"


@pytest.mark.parametrize("url", ["loop://", "socket://127.0.0.1:9", "/dev/null", "/nonexistent", "nonsense://x", "/dev"])
def test_a_port_that_is_no_controller_is_told_and_retried(url: str, tmp_path: Path) -> None:
    with observatory.daemon(tmp_path, start=False, serial_port=url) as daemon:
        daemon.start(connected=False)
        with daemon.connect() as focuser:
            error = waiting.until(lambda: focuser.report_status()["last_error"], 15, "the complaint")
            assert url in error
            assert focuser.report_status()["state"] == "connecting"


def test_a_controller_behind_a_network_port_is_served(tmp_path: Path) -> None:
    """Any URL of pyserial's will do: here socket://, over a bridge to the simulator's port."""
    with socket.create_server(("127.0.0.1", 0)) as listener, observatory.daemon(tmp_path, start=False) as daemon:
        url = f"socket://127.0.0.1:{listener.getsockname()[1]}"
        config = daemon.config_path.read_text().replace(str(daemon.link), url)
        daemon.config_path.write_text(config)
        bridge = threading.Thread(target=_bridge, args=(listener, str(daemon.link)))
        bridge.start()
        daemon.start()
        with daemon.connect() as focuser:
            focuser.confirm_position(1)
            assert focuser.wait_for(focuser.set_focus(1, 25))["state"] == "succeeded"
            assert truth(daemon)["true_steps"] == 25
        assert daemon.terminate() == 0
        bridge.join(10)
        assert not bridge.is_alive()


def _bridge(listener: socket.socket, port_name: str, fails_at: bytes | None = None) -> None:
    connection, _ = listener.accept()
    with connection, serial.Serial(port_name, timeout=0.005) as port:
        connection.settimeout(0.005)
        while True:
            try:
                data = connection.recv(100)
                if not data or (fails_at is not None and fails_at in data):
                    return
                port.write(data)
            except TimeoutError:
                pass
            connection.sendall(port.read(100))


@pytest.mark.parametrize("end", ["SIGTERM", "kill -9"])
def test_a_stop_that_meets_a_failing_port_outlives_the_daemon(end: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, observatory.daemon(tmp_path, start=False) as daemon:
        config = daemon.config_path.read_text()
        url = f"socket://127.0.0.1:{listener.getsockname()[1]}"
        daemon.config_path.write_text(config.replace(str(daemon.link), url))
        bridge = threading.Thread(target=_bridge, args=(listener, str(daemon.link), protocol.stop(1)))
        bridge.start()
        daemon.start()
        with daemon.connect() as focuser:
            focuser.confirm_position(1)
            focuser.set_focus(1, 5000)
            if end == "kill -9":
                with pytest.raises((DeviceLost, NotConnected)):
                    focuser.stop_channel(1)
        if end == "kill -9":
            daemon.kill()
        else:
            assert daemon.terminate() == 0
        bridge.join(10)
        assert not bridge.is_alive()
        assert truth(daemon)["moving"]
        daemon.config_path.write_text(config)
        daemon.start()
        waiting.until(lambda: not truth(daemon)["moving"], 10, "the stop")
        assert truth(daemon)["true_steps"] < 5000


def test_a_motor_that_could_not_be_reached_at_the_end_is_stopped_by_the_next_run(tmp_path: Path) -> None:
    with observatory.daemon(tmp_path) as daemon:
        with daemon.connect() as focuser:
            focuser.set_focus(1, 5000)
        daemon.simulator.fault("unplug")
        assert daemon.terminate() == 0
        assert truth(daemon)["moving"]
        daemon.simulator.fault("replug")
        daemon.start()
        waiting.until(lambda: not truth(daemon)["moving"], 10, "the stop")
        assert truth(daemon)["true_steps"] < 5000


def test_two_daemons_cannot_own_one_port(tmp_path: Path) -> None:
    with observatory.daemon(tmp_path / "a") as first, observatory.daemon(tmp_path / "b", start=False) as second:
        config = second.config_path.read_text().replace(str(second.link), str(first.link))
        second.config_path.write_text(config)
        second.start(connected=False)
        with second.connect() as other, first.connect() as owner:
            error = waiting.until(lambda: other.report_status()["last_error"], 15, "the complaint")
            assert str(first.link) in error
            assert owner.wait_for(owner.set_focus(1, 30))["state"] == "succeeded"
            with pytest.raises((DeviceLost, ObservatoryError)):
                other.set_focus(1, 5)
