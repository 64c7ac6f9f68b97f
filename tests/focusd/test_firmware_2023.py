"""The firmware of 2023: recognised by its answer to #, served with its own speed, fans and temperature probes."""

from __future__ import annotations

import time
from pathlib import Path

import observatory
import pytest
import waiting

from observatory_common.errors import CommandFailed, InvalidChannel

PROBES = {"28ff000000000001": 3.25, "28ff000000000002": None}
NAMED = {
    "primary": {"label": "Primary mirror", "address": "28ff000000000001"},
    "tube": {"label": "Tube", "address": "28ff000000000002"},
    "cell": {"label": "Cell", "address": "28ff000000000003"},
}


def test_one_channel_with_fans_and_probes(tmp_path: Path, machine_lag) -> None:
    settings = {"firmware": "2023", "simulated_channels": 1, "simulated_probes": PROBES, "temperature_probes": NAMED}
    with observatory.daemon(tmp_path, channels=[{}], idle_loop_delay=0.5, **settings) as daemon, daemon.connect() as focuser:
        status = focuser.report_status()
        assert (status["firmware"], status["channels"], status["steps_per_s"]) == ("2023", [1], 97.65625)
        started = time.monotonic()
        job = focuser.wait_for(focuser.set_focus(1, 200))
        took_s = time.monotonic() - started
        assert (job["state"], daemon.simulator.state()["channels"]["1"]["true_steps"]) == ("succeeded", 200)
        assert 1.9 < took_s < 3.0 + machine_lag.seconds  # 2.05 s at 97.66 steps/s
        with pytest.raises(InvalidChannel, match="channel is 2, expected 1"):
            focuser.set_focus(2, 10)
        waiting.until(lambda: focuser.report_status()["temperature_primary_C"] == 3.25, 15, "a temperature")
        status = focuser.report_status()
        assert (status["temperature_tube_C"], status["temperature_cell_C"]) == (None, None)
        for wanted, word in ((True, "ENABLED"), (False, "DISABLED")):
            assert daemon.focus("fans", "enable" if wanted else "disable").returncode == 0
            assert daemon.simulator.state()["fans_on"] is wanted
            waiting.until(lambda w=wanted: focuser.report_status()["fans_enabled"] is w, 10, "the fans in the status")
            shown = daemon.focus("status").stdout
            assert f"OTA Fans: {word}" in shown
            assert "primary: 3.2 °C" in shown or "primary: 3.3 °C" in shown
            assert "tube: UNKNOWN" in shown


def test_two_channels(tmp_path: Path) -> None:
    with observatory.daemon(tmp_path, firmware="2023", eeprom_steps=(7, -8)) as daemon, daemon.connect() as focuser:
        status = focuser.report_status()
        assert (status["current_steps_1"], status["current_steps_2"], status["fans_enabled"]) == (7, -8, False)
        jobs = [focuser.set_focus(1, -30), focuser.set_focus(2, 30)]
        assert [focuser.wait_for(job)["state"] for job in jobs] == ["succeeded", "succeeded"]
        states = daemon.simulator.state()["channels"]
        assert (states["1"]["true_steps"], states["2"]["true_steps"]) == (-30, 30)


def test_the_2022_firmware_has_no_fans(tmp_path: Path) -> None:
    with observatory.daemon(tmp_path) as daemon, daemon.connect() as focuser:
        assert focuser.report_status()["fans_enabled"] is None
        with pytest.raises(CommandFailed, match="fans"):
            focuser.set_fans(True)
        assert daemon.focus("fans", "enable").returncode == 1


def test_a_config_with_more_channels_than_the_controller_says_so(tmp_path: Path) -> None:
    settings = {"firmware": "2023", "simulated_channels": 1}
    with observatory.daemon(tmp_path, confirm=False, **settings) as daemon, daemon.connect() as focuser:
        status = focuser.report_status()
        assert (status["current_steps_1"], status["current_steps_2"], status["moving_2"]) == (0, None, None)
        for refused in (focuser.confirm_position, focuser.reset_home_position):
            with pytest.raises(InvalidChannel, match="no channel 2"):
                refused(2)
        assert "Z" not in daemon.simulator.state()["commands_received"]
