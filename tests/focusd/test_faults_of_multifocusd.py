"""The 26 measured faults of multifocusd: one test each, named after it, that shows the opposite.

Each runs the real daemon on the simulated controller, over a pseudo-terminal and TCP; the motor's truth is asked of the
simulator.
"""

from __future__ import annotations

import json
import re
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import observatory
import pytest
import waiting
from vitals import Vitals

from observatory_common import errors
from observatory_focusd import protocol

REPOSITORY = Path(__file__).parents[2]
FAST = {"speed_factor": 50, "steps_per_s": 50 * protocol.FIRMWARE_2022.steps_per_s}


def true_steps(daemon: observatory.Daemon, channel: int = 1) -> int:
    return daemon.simulator.state()["channels"][str(channel)]["true_steps"]


def simulated_moving(daemon: observatory.Daemon, channel: int = 1) -> bool:
    return daemon.simulator.state()["channels"][str(channel)]["moving"]


def queries(daemon: observatory.Daemon) -> int:
    return daemon.simulator.state()["commands_received"].get("?", 0)


@pytest.fixture
def daemon(tmp_path: Path):
    with observatory.daemon(tmp_path) as running:
        yield running


@pytest.fixture
def fast(tmp_path: Path):
    with observatory.daemon(tmp_path, **FAST) as running:
        yield running


def test_f1_a_move_of_seven_digits_is_tracked_and_can_be_stopped(fast) -> None:
    with fast.connect() as focuser:
        assert fast.focus("set", "1", "1000000", "--no-wait").returncode == 0
        waiting.until(lambda: focuser.report_status()["current_steps_1"] > 100, 10, "the motor to move")
        status = focuser.report_status()
        assert (status["target_steps_1"], status["state"], status["last_error"]) == (1_000_000, "moving", None)
        assert fast.focus("stop", "1").returncode == 0
        status = focuser.report_status()
        assert status["state"] == "idle" and status["current_steps_1"] == true_steps(fast)
        # Seven digits also at rest, on both channels, read back and forth.
        focuser.wait_for(focuser.set_focus(1, status["current_steps_1"] + 10))


def test_f2_success_is_reported_only_when_the_motor_has_arrived(daemon) -> None:
    with daemon.connect() as focuser:
        job = focuser.set_focus(1, 60)
        assert job["state"] == "running"
        assert true_steps(daemon) < 60
        job = focuser.wait_for(job)
        assert (job["state"], job["result"]["position_steps"]) == ("succeeded", 60)
        assert true_steps(daemon) == 60


def test_f3_the_last_field_is_read_whole(tmp_path: Path) -> None:
    with observatory.daemon(tmp_path, eeprom_steps=(5, 1_234_567), confirm=False) as daemon, daemon.connect() as focuser:
        status = focuser.report_status()
        assert (status["current_steps_1"], status["current_steps_2"]) == (5, 1_234_567)


@pytest.mark.parametrize("steps", [20_001, -20_001, 9_999_999, 10_000_000, -12_345_678, 2**62])
def test_f4_a_position_outside_the_limits_is_refused_with_value_and_range(tmp_path: Path, steps: int) -> None:
    limits = [{"limits": [-20_000, 20_000]}, {}]
    with observatory.daemon(tmp_path, channels=limits) as daemon, daemon.connect() as focuser:
        with pytest.raises(errors.PositionOutsideLimits, match=r"-20000 to \+20000") as refused:
            focuser.set_focus(1, steps)
        assert refused.value.code == 6 and str(abs(steps)) in str(refused.value)
        assert not simulated_moving(daemon)


def test_f5_fractions_of_a_second_are_kept(tmp_path: Path) -> None:
    with observatory.daemon(tmp_path, idle_loop_delay=0.5, moving_loop_delay=0.5, serial_timeout=0.5) as daemon:
        with daemon.connect() as focuser:
            for moving in (False, True):
                if moving:
                    focuser.set_focus(1, 2000)
                before, started = queries(daemon), time.monotonic()
                waiting.until(lambda b=before: queries(daemon) >= b + 4, 20, "four readings")
                elapsed = time.monotonic() - started
                assert elapsed > 0.9, f"4 readings within {elapsed:.2f} s at a delay of 0.5 s"
            focuser.stop_channel()


def waited_s(daemon: observatory.Daemon) -> float:
    """For how long daemon and controller could have run, and had no processor."""
    return daemon.vitals.waited_s() + Vitals(daemon.simulator_process.pid).waited_s()


def test_f6_a_short_move_returns_long_before_the_idle_delay(tmp_path: Path, machine_lag) -> None:
    with observatory.daemon(tmp_path, idle_loop_delay=60) as daemon, daemon.connect() as focuser:
        started, before_s = time.monotonic(), waited_s(daemon)
        focuser.wait_for(focuser.set_focus(1, 20))
        elapsed = time.monotonic() - started
        assert elapsed - max(waited_s(daemon) - before_s, 0.0) < 2.0 + machine_lag.seconds
        assert true_steps(daemon) == 20
        job = focuser.set_focus(1, 2000)
        waiting.until(lambda: focuser.report_status()["current_steps_1"] > 20, 5, "the position to change in the status")
        focuser.cancel(job["id"])


def test_f7_a_move_that_another_client_stops_is_not_a_success(daemon) -> None:
    mover = daemon.start_focus("set", "1", "3000")
    waiting.until(lambda: simulated_moving(daemon), 10, "the motor to start")
    assert daemon.focus("stop", "1").returncode == 0
    _, error = mover.communicate(timeout=20)
    assert mover.returncode == 9
    assert f"{true_steps(daemon):+d}" in error and "stopped by" in error


def test_f8_ctrl_c_stops_the_motor_and_says_where(daemon) -> None:
    mover = daemon.start_focus("set", "1", "3000")
    waiting.until(lambda: simulated_moving(daemon), 10, "the motor to start")
    mover.send_signal(signal.SIGINT)
    _, error = mover.communicate(timeout=20)
    assert mover.returncode == 156
    assert not simulated_moving(daemon)
    assert f"{true_steps(daemon):+d}" in error or f"{true_steps(daemon):+07d}" in error


def test_f9_a_late_move_is_stopped_and_a_long_one_succeeds(tmp_path: Path) -> None:
    with observatory.daemon(tmp_path, move_timeout=1) as daemon, daemon.connect() as focuser:
        job = focuser.wait_for(focuser.set_focus(1, 180))  # 3 s at the controller's speed: three times move_timeout
        assert job["state"] == "succeeded" and true_steps(daemon) == 180
    # The same motor, but the config says it is ten times as fast: now 3000 steps are late.
    too_slow = {"move_timeout": 1, "steps_per_s": 10 * protocol.FIRMWARE_2022.steps_per_s}
    with observatory.daemon(tmp_path / "late", **too_slow) as daemon, daemon.connect() as focuser:
        job = focuser.wait_for(focuser.set_focus(1, 3000))
        assert job["state"] == "timed_out" and job["error"]["code"] == errors.CommandStatus.TimedOut
        assert not simulated_moving(daemon)
        assert job["result"]["position_steps"] == true_steps(daemon) < 3000


def test_f10_a_lost_device_is_reported_and_comes_back_by_itself(daemon) -> None:
    with daemon.connect() as focuser:
        job = focuser.set_focus(1, 3000)
        waiting.until(lambda: true_steps(daemon) > 30, 10, "the motor to move")
        daemon.simulator.fault("unplug")
        job = focuser.wait_for(job)
        assert job["state"] == "lost_device" and job["error"]["code"] == errors.CommandStatus.DeviceLost
        assert focuser.report_status()["current_steps_1"] is None
        daemon.simulator.fault("replug")
        waiting.until(lambda: focuser.report_status()["state"] == "moving", 5 + 5, "the daemon to come back by itself")
        status = focuser.report_status()
        assert status["position_state_1"] == "confirmed" and status["target_steps_1"] == 3000
        stopped = focuser.stop_channel(1)["stopped"][0]
        assert not simulated_moving(daemon) and stopped["position_steps"] == true_steps(daemon)


def test_f11_a_silent_controller_delays_no_call_beyond_its_time(daemon, machine_lag) -> None:
    with daemon.connect() as focuser:
        focuser.set_focus(1, 3000)
        daemon.simulator.fault("silence", seconds=3)
        for call in (lambda: focuser.stop_channel(1), focuser.report_status):
            started = time.monotonic()
            try:
                call()
            except errors.TimedOut as error:
                assert "repeated until" in str(error)
            assert time.monotonic() - started < 4.7 + machine_lag.seconds
        # The stop was not forgotten: it is carried out as soon as the controller hears again.
        waiting.until(lambda: not simulated_moving(daemon), 10, "the stop to be carried out after all")
        assert true_steps(daemon) < 3000


def test_f12_a_late_acknowledgement_neither_fails_the_move_nor_answers_another_command(daemon) -> None:
    with daemon.connect() as focuser:
        daemon.simulator.fault("late", delay_s=1.2, count=1)
        job = focuser.wait_for(focuser.set_focus(1, 50))
        assert job["state"] == "succeeded" and true_steps(daemon) == 50
        assert focuser.report_status()["current_steps_1"] == 50


# F13, a stalled port, is test_link.test_f13_a_stalled_port_does_not_block_the_writer_for_ever.


@pytest.mark.parametrize("bad", [10.0, "10", None, [10], {"steps": 10}, b"10", float("nan")])
def test_f14_a_bad_argument_does_not_touch_the_other_channel(daemon, bad: object) -> None:
    with daemon.connect() as focuser:
        job = focuser.set_focus(2, 30)
        with pytest.raises(errors.InvalidArgument, match="steps is"):
            focuser.set_focus(1, bad)
        with pytest.raises(errors.InvalidArgument, match="channel is"):
            focuser.set_focus(bad, 10)
        assert focuser.wait_for(job)["state"] == "succeeded"
        assert (true_steps(daemon, 1), true_steps(daemon, 2)) == (0, 30)


def test_f15_true_is_no_channel(daemon) -> None:
    with daemon.connect() as focuser:
        for call in (lambda: focuser.set_focus(True, 10), lambda: focuser.stop_channel(True)):
            with pytest.raises(errors.InvalidArgument, match="channel is True, expected 1 or 2"):
                call()
        assert not simulated_moving(daemon)


def test_f16_the_worker_survives_what_goes_wrong_in_a_request(fast) -> None:
    with fast.connect() as focuser:
        for _ in range(20):
            for bad in (lambda: focuser.set_focus(3, 1), lambda: focuser.set_focus(1, 10**9), focuser.initialize):
                with pytest.raises(errors.ObservatoryError):
                    bad()
        assert focuser.wait_for(focuser.set_focus(1, 500))["state"] == "succeeded"


def test_f17_calls_that_hang_do_not_lock_others_out(daemon, machine_lag) -> None:
    daemon.simulator.fault("silence", seconds=4)

    def move(_: int) -> str:
        with daemon.connect() as focuser:
            try:
                return str(focuser.set_focus(1, 3000)["state"])
            except errors.ObservatoryError as error:
                return type(error).__name__

    with ThreadPoolExecutor(60) as pool:
        outcomes = pool.map(move, range(60))
        with daemon.connect() as watcher:
            for _ in range(20):
                started = time.monotonic()
                watcher.report_status()
                assert time.monotonic() - started < 1.0 + machine_lag.seconds
        outcomes = list(outcomes)
    assert len(outcomes) == 60
    assert outcomes.count("running") <= 1


def test_f18_every_request_gets_its_own_answer(fast) -> None:
    def ask(number: int) -> bool:
        with fast.connect() as focuser:
            for _ in range(5):
                try:
                    focuser.set_focus(1, 10_000_000 + number)
                except errors.PositionOutsideLimits as error:
                    if str(10_000_000 + number) not in str(error):
                        return False
                if focuser.stop_channel(2)["stopped"][0]["channel"] != 2:
                    return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(8)))


def test_f19_the_channel_that_finishes_first_is_noticed_first(fast, machine_lag) -> None:
    with fast.connect() as focuser:
        long, short = focuser.set_focus(1, 9000), focuser.set_focus(2, 300)
        assert focuser.wait_for(short)["state"] == "succeeded"
        assert focuser.job(long["id"])["state"] == "running"
        focuser.stop_channel()
        here = focuser.report_status()["current_steps_1"]
        started = time.monotonic()
        assert focuser.wait_for(focuser.set_focus(1, here))["state"] == "succeeded"
        assert time.monotonic() - started < 0.5 + machine_lag.seconds


def test_f20_kill_stops_the_motor_first(daemon) -> None:
    with daemon.connect() as focuser:
        job = focuser.set_focus(1, 3000)
        waiting.until(lambda: true_steps(daemon) > 5, 10, "the motor to move")
        assert daemon.focus("kill").returncode == 0
        assert not simulated_moving(daemon)
        job = focuser.job(job["id"])
        assert (job["state"], job["result"]["position_steps"]) == ("stopped", true_steps(daemon))
        assert focuser.report_status()["state"] == "offline"
        assert daemon.focus("init").returncode == 0
        assert focuser.report_status()["position_state_1"] == "confirmed"


def test_f21_the_status_says_how_old_its_readings_are(tmp_path: Path) -> None:
    with observatory.daemon(tmp_path, idle_loop_delay=0.2) as daemon, daemon.connect() as focuser:
        first = focuser.report_status()
        assert first["reading_age_s"] < 10 and first["reading_date"] <= first["date"]
        daemon.simulator.fault("silence", seconds=3)
        waiting.until(lambda: focuser.report_status()["last_error"], 15, "the silence to be noticed")
        later = focuser.report_status()
        assert later["reading_age_s"] is None or later["reading_age_s"] > 0.4
        assert later["reading_date"] < later["date"]


def test_f22_a_remainder_below_one_step_moves_nothing_and_ends_nothing_early(daemon) -> None:
    with daemon.connect() as focuser:
        focuser.set_focus(1, 3000)
        waiting.until(lambda: true_steps(daemon) > 20, 10, "the motor to move")
        here = focuser.stop_channel(1)["stopped"][0]["position_steps"]
        raw = daemon.simulator.state()["channels"]["1"]["true_raw"]
        assert focuser.wait_for(focuser.set_focus(1, 0, True))["state"] == "succeeded"
        assert daemon.simulator.state()["channels"]["1"]["true_raw"] == raw
        job = focuser.wait_for(focuser.set_focus(1, here - 20))
        after = daemon.simulator.state()["channels"]["1"]
        assert job["state"] == "succeeded" and not after["moving"]
        assert after["true_raw"] == (here - 20) * 64


def test_f23_a_move_of_the_other_channel_disturbs_no_arrival(daemon) -> None:
    with daemon.connect() as focuser:
        first = focuser.set_focus(1, 150)
        for steps in (10, 20, 30, 40):  # each writes the EEPROM, which holds the other motor for some milliseconds
            focuser.wait_for(focuser.set_focus(2, steps))
        job = focuser.wait_for(first)
        assert (job["state"], job["result"]["position_steps"]) == ("succeeded", 150)
        assert (true_steps(daemon, 1), true_steps(daemon, 2)) == (150, 40)


def test_f24_commands_leave_a_line_in_the_log_and_zero_asks(daemon) -> None:
    assert daemon.focus("zero", "1").returncode == 64  # no terminal to ask on, and no --yes
    with daemon.connect() as focuser:
        focuser.wait_for(focuser.set_focus(1, 20))
        focuser.stop_channel(1)
        assert daemon.focus("zero", "1", "--yes").returncode == 0
        assert focuser.report_status()["current_steps_1"] == 0
        focuser.shutdown()
    for method in ("set_focus", "stop_channel", "reset_home_position", "shutdown"):
        waiting.until(
            lambda m=method: [line for line in daemon.log_lines() if "audit" in line and m in line and "LocalHost" in line],
            5,
            f"an audit line of {method}",
        )


def test_f25_the_udev_rule_names_the_controller_itself() -> None:
    rule = "\n".join(path.read_text() for path in (REPOSITORY / "etc" / "udev").glob("*.rules"))
    assert re.search(r'idVendor\}=="03eb".*idProduct\}=="204b"', rule) and "focuser" in rule
    assert "0403" not in rule and '"0666"' not in rule


def test_f26_texts_speak_of_the_focuser(daemon) -> None:
    daemon.terminate()
    result = daemon.focus("status")
    texts = result.stderr + daemon.focus("--help").stdout + daemon.focus("set", "--help").stdout
    texts += json.dumps([status.text for status in errors.CommandStatus if not 10 <= status < 40])  # those are the camera's
    assert result.returncode == 155 and "focusd" in result.stderr
    assert not re.search("pipeline|camera", texts)


def test_two_clients_b_looks_while_a_moves(daemon) -> None:
    """B connects, reads and lists 100 times: A's move is untouched; B's own move is refused and names A and the end."""
    with daemon.connect() as a:
        job = a.set_focus(1, 250)

        def look() -> None:
            for _ in range(100):
                with daemon.connect() as b:
                    b.report_status()
                    b.job(job["id"])
                    b.events(None, 0, 0)

        looker = threading.Thread(target=look)
        looker.start()
        with daemon.connect() as b, pytest.raises(errors.Blocked, match=r"LocalHost.*expected to end at 20"):
            b.set_focus(1, 0)
        job = a.wait_for(job)
        looker.join(60)
        assert not looker.is_alive()
        assert job["state"] == "succeeded" and true_steps(daemon) == 250


def test_two_clients_b_stops_what_a_moves(daemon, machine_lag) -> None:
    """B's stop takes effect within 100 ms, whatever the worker is doing, and A learns who stopped it and where."""
    with daemon.connect() as a, daemon.connect() as b:
        b.report_status()
        for _ in range(5):
            job = a.set_focus(1, true_steps(daemon) + 3000)
            waiting.until(lambda: simulated_moving(daemon), 5, "the motor to start")
            before_s, asked = waited_s(daemon), time.monotonic()
            stopped = b.stop_channel(1)["stopped"][0]
            late_s = max(waited_s(daemon) - before_s, 0.0)
            halted = daemon.simulator.state()["channels"]["1"]["halted_at_monotonic"]
            assert halted - asked - late_s < 0.1 + machine_lag.seconds
            ended = a.wait_for(job)
            assert (ended["state"], ended["error"]["code"]) == ("stopped", 9)
            assert ended["result"]["position_steps"] == stopped["position_steps"] == true_steps(daemon)
            assert "stopped by LocalHost (127.0.0.1)" in ended["error"]["message"]
