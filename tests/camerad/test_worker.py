"""The camera's one thread: when it opens the camera, and when it lets go of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from observatory_camerad.acquisition.failures import Failures
from observatory_camerad.acquisition.use_cases import Transform
from observatory_camerad.acquisition.worker import Worker
from observatory_camerad.settings import Settings
from observatory_camerad.simulator.camera import SimulatedCamera, SimulatedOptics
from observatory_camerad.simulator.scene import SceneConfig
from observatory_camerad.simulator.sensor import SensorConfig
from observatory_common.storage import StateFile


@pytest.fixture
def alerted(tmp_path: Path) -> Iterator[Worker]:
    """A worker that is to try its camera once a minute only."""
    failures = StateFile(tmp_path / "failures.json")
    failures.save({"in_a_row": 10, "stuck": True})
    worker = Worker(
        SimulatedCamera(SceneConfig(), SensorConfig(), SimulatedOptics(1.4)),
        Settings({}, {}, StateFile(tmp_path / "settings.json")),
        Transform(),
        Failures(failures),
        [],
        lambda *event: None,
        lambda why: None,
    )
    worker.start()
    yield worker
    worker.close(10)


def test_who_asks_for_a_camera_right_after_its_shutdown_gets_it_at_once(alerted: Worker) -> None:
    """Although its thread may not have seen the shutdown yet."""
    assert alerted.state == "initializing"
    for _ in range(3):
        alerted.want(False)
        alerted.want(True)
        assert alerted.state == "idle"
