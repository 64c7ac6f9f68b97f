"""The attacks of the server's own tests, on a running focusd while its motor moves."""

from __future__ import annotations

from collections.abc import Iterator

import attacks
import observatory
import pytest
import vitals
import waiting
from attacks import Target

MACHINES = {"Guest": "127.0.0.3"}
THREADS_AT_REST = 11  # as the bare server's, and the serial worker, the log's writer, and one about to end


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[observatory.Daemon]:
    with observatory.daemon(tmp_path_factory.mktemp("daemon"), machines=MACHINES) as running:
        yield running


@pytest.mark.parametrize("source", ["127.0.0.1", "127.0.0.3"])
@pytest.mark.parametrize("name", attacks.ALL)
def test_an_attack_harms_neither_clients_nor_the_move(name: str, source: str, daemon, machine_lag) -> None:
    target = Target(daemon.host, daemon.port, observatory.NAME)
    with daemon.connect() as focuser:
        start = focuser.report_status()["current_steps_1"]
        job = focuser.set_focus(1, start + 3000)
        with vitals.unharmed(target, vitals.Vitals(daemon.process.pid), machine_lag, THREADS_AT_REST):
            attacks.ALL[name](Target(daemon.host, daemon.port, observatory.NAME, source=source))
        assert focuser.job(job["id"])["state"] == "running"
        stopped = focuser.stop_channel(1)["stopped"][0]["position_steps"]
        state = daemon.simulator.state()["channels"]["1"]
        assert (state["moving"], state["true_steps"]) == (False, stopped)
        status = focuser.report_status()
        assert (status["position_state_1"], status["last_error"]) == ("confirmed", None)
    assert not [line for line in daemon.log_lines() if " ERROR " in line or "Traceback" in line]


def test_strangers_in_great_numbers(daemon, machine_lag) -> None:
    target = Target(daemon.host, daemon.port, observatory.NAME)
    with vitals.unharmed(target, vitals.Vitals(daemon.process.pid), machine_lag, THREADS_AT_REST):
        with attacks.silent(target, 90, "127.0.0.3"), daemon.connect() as newcomer:
            assert waiting.until(newcomer.report_status, 2 + machine_lag.seconds, "an answer")
