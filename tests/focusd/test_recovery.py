"""What focusd says and does after it, or its controller, was killed in mid-move."""

from __future__ import annotations

import threading
from pathlib import Path

import observatory
import pytest
import recovery
import waiting

from observatory_common.errors import DeviceLost, ObservatoryError, Uncertain
from observatory_focusd import protocol

FAST = {"speed_factor": 50, "steps_per_s": 50 * protocol.FIRMWARE_2022.steps_per_s}


@pytest.mark.parametrize("way", recovery.WAYS)
def test_kill_9_in_mid_move_ten_times(way: str, tmp_path: Path) -> None:
    with observatory.daemon(tmp_path, **FAST) as daemon:
        recovery.WAYS[way](daemon, 10)


def test_a_retried_request_never_moves_twice(tmp_path: Path) -> None:
    with observatory.daemon(tmp_path) as daemon:
        with daemon.connect() as focuser:
            first = focuser.set_focus(1, 500, request_id="once")
            again = focuser.set_focus(1, 500, request_id="once")
            assert again["id"] == first["id"]
            focuser.stop_channel(1)
            assert focuser.set_focus(1, 500, request_id="once")["state"] == "stopped"
            assert daemon.simulator.state()["commands_received"]["set"] == 1
        daemon.kill()
        daemon.start()
        with daemon.connect() as focuser:
            with pytest.raises(Uncertain, match="not carried out again"):
                focuser.set_focus(1, 500, request_id="once")
            assert daemon.simulator.state()["commands_received"]["set"] == 1


def test_a_move_without_acknowledgement_is_stopped_by_the_next_run(tmp_path: Path) -> None:
    """Its caller was told that it is stopped as soon as it can be; what `kill -9` leaves of that is in the journal."""
    with observatory.daemon(tmp_path, idle_loop_delay=60) as daemon:
        refused: list[ObservatoryError] = []

        def ask() -> None:
            with daemon.connect() as client, pytest.raises(DeviceLost) as caught:
                client.set_focus(1, 5000)
            refused.append(caught.value)

        mover = threading.Thread(target=ask)
        daemon.simulator.fault("lost", seconds=600)
        mover.start()
        waiting.until(lambda: recovery.truth(daemon)["moving"], 10, "the motor to move")
        daemon.simulator.fault("silence", seconds=600)  # no stop comes through either
        mover.join(20)
        assert "until it can be stopped" in str(refused[0])
        daemon.kill()
        daemon.simulator.fault("clear")
        assert recovery.truth(daemon)["moving"]
        daemon.start()
        waiting.until(lambda: not recovery.truth(daemon)["moving"], 10, "the motor to be stopped")
        with daemon.connect() as focuser:
            waiting.until(lambda: focuser.report_status()["state"] == "idle", 10, "that to be seen")
            status = recovery.assert_nothing_confident_and_wrong(daemon, focuser)
            # Seen twice on its way to the journal's target: that proves it.
            assert (status["position_state_1"], status["current_steps_1"]) == (
                "confirmed",
                recovery.truth(daemon)["true_steps"],
            )
            assert focuser.job("1")["state"] == "stopped"


def test_a_restart_at_rest_keeps_what_is_proven(tmp_path: Path) -> None:
    with observatory.daemon(tmp_path, **FAST) as daemon:
        with daemon.connect() as focuser:
            focuser.wait_for(focuser.set_focus(1, -1234))
        daemon.kill()
        daemon.simulator.fault("power_cut", seconds=0.2)  # at rest the stored target is where the motor is
        daemon.start()
        with daemon.connect() as focuser:
            status = focuser.report_status()
            assert (status["position_state_1"], status["current_steps_1"]) == ("confirmed", -1234)


def test_a_controller_moved_by_others_is_not_believed(tmp_path: Path) -> None:
    """Somebody plugs in another controller, or moves this one, while focusd is down."""
    with observatory.daemon(tmp_path, eeprom_steps=(400, 0)) as daemon:
        daemon.terminate()
        daemon.simulator_process.terminate()
        daemon.simulator_process.wait(10)
        (daemon.folder / "eeprom.bin").write_bytes((401 * 64).to_bytes(4, "little") + bytes(4))
        daemon.start_simulator()
        daemon.start()
        with daemon.connect() as focuser:
            status = focuser.report_status()
            assert (status["position_state_1"], status["last_confirmed_steps_1"]) == ("uncertain", 400)
            assert status["position_state_2"] == "confirmed"


MORE_DAMAGE = [b'{"version":1,"channels":[],"requests":[]}', b'{"version":1,"channels":{},"requests":null}', b"[" * 30000]


@pytest.mark.parametrize(
    "damage", [*MORE_DAMAGE, b"", b"{", b"[]", b'{"version": 9}', b"\xff\xfe", b'{"version": 1, "channels": {"1": {}}}']
)
def test_a_damaged_journal_makes_everything_uncertain_and_stops_nothing(damage: bytes, tmp_path: Path) -> None:
    with observatory.daemon(tmp_path) as daemon:
        daemon.terminate()
        (daemon.state_folder / "journal.json").write_bytes(damage)
        daemon.start()
        with daemon.connect() as focuser:
            assert focuser.report_status()["position_state_1"] == "uncertain"
            focuser.confirm_position(1)
            assert focuser.wait_for(focuser.set_focus(1, 10))["state"] == "succeeded"


def test_a_journal_that_cannot_be_written_moves_nothing(tmp_path: Path) -> None:
    with observatory.daemon(tmp_path) as daemon, daemon.connect() as focuser:
        journal = daemon.state_folder / "journal.json"
        journal.unlink()
        journal.mkdir()  # so that the rename onto it fails, also for root
        with pytest.raises(RuntimeError, match="journal cannot be written") as refused:
            focuser.set_focus(1, 100)
        assert refused.value.code == 1
        assert not recovery.truth(daemon)["moving"]
        journal.rmdir()
        waiting.until(lambda: focuser.wait_for(focuser.set_focus(1, 20))["state"] == "succeeded", 10, "a move")
