"""`kill -9` of focusd in mid-move, in three ways; used by the tests a few times and by the benchmark a hundred times."""

from __future__ import annotations

import random
import threading

import observatory
import pytest
import waiting

from observatory_common.errors import DaemonNotReachable, ObservatoryError, Uncertain
from observatory_common.rpc.client import RemoteDaemon


def truth(daemon: observatory.Daemon, channel: int = 1) -> dict:
    """What the motor really does."""
    return daemon.simulator.state()["channels"][str(channel)]


def assert_nothing_confident_and_wrong(daemon: observatory.Daemon, focuser: RemoteDaemon) -> dict:
    """The status, after a check: a position that is called confirmed is where the motor is (or passed since it was read)."""
    before = truth(daemon)
    status = focuser.report_status()
    after = truth(daemon)
    if status["position_state_1"] == "confirmed":
        assert status["target_steps_1"] == before["target_steps"], (before, status)
        behind = 0 if status["moving_1"] else before["true_steps"]  # a reading on the way is as old as it says
        assert behind <= status["current_steps_1"] <= after["true_steps"], (before, status, after)
    return status


def refuses_to_move(focuser: RemoteDaemon) -> None:
    """A move from an unproven position is refused."""
    with pytest.raises(Uncertain):
        focuser.set_focus(1, 0)


def kept_moving(daemon: observatory.Daemon, times: int, seed: int = 1) -> None:
    """The controller does not notice: after each restart the move is shown as running on, and it can be stopped."""
    randomly = random.Random(seed)
    with daemon.connect() as focuser:
        focuser.set_focus(1, 1_000_000)
    waiting.until(lambda: truth(daemon)["true_steps"] > 0, 10, "the motor to move")
    for _ in range(times):
        threading.Event().wait(randomly.uniform(0, 0.3))  # at any instant of the daemon's rounds
        daemon.kill()
        daemon.start()
        with daemon.connect() as focuser:
            status = assert_nothing_confident_and_wrong(daemon, focuser)
            assert (status["position_state_1"], status["moving_1"]) == ("confirmed", True)
            job = focuser.job(status["job_1"])
            assert (job["kind"], job["state"], job["started_by"]) == ("move", "running", "LocalHost (127.0.0.1)")
    with daemon.connect() as focuser:
        stopped = focuser.stop_channel(1)["stopped"][0]["position_steps"]
        assert stopped == truth(daemon)["true_steps"]
        assert focuser.job(job["id"])["state"] == "stopped"
        assert focuser.report_status()["position_state_1"] == "confirmed"


def lost_its_power_too(daemon: observatory.Daemon, times: int, seed: int = 2) -> None:
    """The controller comes back believing that it is at its target: uncertain, and the last proven position is told."""
    randomly = random.Random(seed)
    for number in range(times):
        with daemon.connect() as focuser:
            proven = focuser.report_status()["last_confirmed_steps_1"]
            focuser.set_focus(1, 900_000 + number)
            waiting.until(lambda p=proven: truth(daemon)["true_steps"] != p, 10, "the motor to move")
            threading.Event().wait(randomly.uniform(0, 0.1))
            daemon.kill()
            daemon.simulator.fault("power_cut", seconds=0)
            daemon.start()
        with daemon.connect() as focuser:
            status = focuser.report_status()
            assert status["current_steps_1"] == status["target_steps_1"] == 900_000 + number  # the controller's lie
            assert truth(daemon)["true_steps"] < 900_000
            assert (status["position_state_1"], status["last_confirmed_steps_1"]) == ("uncertain", proven)
            refuses_to_move(focuser)
            focuser.reset_home_position(1)
            assert focuser.report_status()["position_state_1"] == "confirmed"


def ended_meanwhile(daemon: observatory.Daemon, times: int, seed: int = 3) -> None:
    """Equal numbers prove nothing: uncertain, although the controller happens to be right."""
    randomly = random.Random(seed)
    for number in range(times):
        target = 3000 if number % 2 == 0 else 0  # long enough to be killed in it
        with daemon.connect() as focuser:
            focuser.set_focus(1, target)
            waiting.until(lambda: truth(daemon)["moving"], 10, "the motor to move")
            threading.Event().wait(randomly.uniform(0, 0.02))
            daemon.kill()
        waiting.until(lambda: not truth(daemon)["moving"], 30, "the move to end")
        daemon.start()
        with daemon.connect() as focuser:
            status = focuser.report_status()
            assert (status["current_steps_1"], status["position_state_1"]) == (target, "uncertain")
            refuses_to_move(focuser)
            focuser.confirm_position(1)
            assert focuser.report_status()["last_confirmed_steps_1"] == target


def at_the_instant_of_the_command(daemon: observatory.Daemon, times: int, seed: int = 4) -> None:
    """Killed around the moment in which the command goes out: whatever is said afterwards is true, nothing moves twice."""
    randomly = random.Random(seed)
    for number in range(times):
        sent = daemon.simulator.state()["commands_received"].get("set", 0)
        request_id, target = f"request-{number}", 1000 * (number % 7 + 1)

        def ask(request_id: str = request_id, target: int = target) -> None:
            with daemon.connect(timeout_s=3) as focuser:
                try:
                    focuser.set_focus(1, target, request_id=request_id)
                except DaemonNotReachable:
                    pass  # what is tested

        asking = threading.Thread(target=ask)
        asking.start()
        threading.Event().wait(randomly.uniform(0, 0.012))
        daemon.kill()
        asking.join(10)
        assert not asking.is_alive()
        daemon.start()
        with daemon.connect() as focuser:
            assert_nothing_confident_and_wrong(daemon, focuser)
            try:
                focuser.set_focus(1, target, request_id=request_id)
            except ObservatoryError as error:
                assert isinstance(error, Uncertain), error
            assert daemon.simulator.state()["commands_received"].get("set", 0) <= sent + 1
            focuser.stop_channel()
            waiting.until(lambda: not truth(daemon)["moving"], 10, "the motor to stop")
            focuser.confirm_position(1)
            focuser.wait_for(focuser.set_focus(1, 0))


WAYS = {
    "the controller kept moving": kept_moving,
    "the controller lost its power too": lost_its_power_too,
    "the move ended meanwhile": ended_meanwhile,
    "killed at the instant of the command": at_the_instant_of_the_command,
}
