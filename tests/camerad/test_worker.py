"""The camera's one thread: when it opens the camera, when it lets go of it, and what becomes of who asks meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import waiting

from observatory_camerad.acquisition.failures import Failures
from observatory_camerad.acquisition.shots import Shot
from observatory_camerad.acquisition.use_cases import Transform, standing
from observatory_camerad.acquisition.worker import Worker
from observatory_camerad.drivers.base import Request
from observatory_camerad.settings import Settings
from observatory_camerad.simulator.camera import SimulatedCamera, SimulatedOptics
from observatory_camerad.simulator.scene import SceneConfig
from observatory_camerad.simulator.sensor import SensorConfig
from observatory_common.errors import DeviceLost, NotConnected, ObservatoryError
from observatory_common.storage import StateFile


class Camera(SimulatedCamera):
    """One whose frames can be held back, and that can be lost when controls are set."""

    def __init__(self) -> None:
        super().__init__(SceneConfig(), SensorConfig(), SimulatedOptics(1.4))
        self.brings_frames = threading.Event()
        self.brings_frames.set()
        self.is_held = threading.Event()
        self.refuses_controls = False

    def next_request(self, timeout_s: float) -> Request | None:
        """As it, but not before that is allowed."""
        if not self.brings_frames.is_set():
            self.is_held.set()
            assert self.brings_frames.wait(10)
        return super().next_request(timeout_s)

    def set_controls(self, values: Mapping[str, Any]) -> None:
        """As it, or a failure."""
        if self.refuses_controls:
            raise DeviceLost("the camera was pulled out")
        super().set_controls(values)

    def hold(self) -> None:
        """Wait until its thread waits for frames, and gets none."""
        self.is_held.clear()
        self.brings_frames.clear()
        assert self.is_held.wait(5)


@pytest.fixture
def camera() -> Camera:
    return Camera()


@pytest.fixture
def make(camera: Camera, tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    made: list[Worker] = []

    def make(on_event: Callable[[str, dict[str, Any]], None] = lambda *_: None) -> Worker:
        settings = Settings({}, {}, StateFile(tmp_path / "settings.json"))
        failures = Failures(StateFile(tmp_path / "failures.json"))
        made.append(Worker(camera, settings, Transform(), failures, [], on_event, lambda why: None))
        made[-1].start()
        return made[-1]

    yield make
    camera.brings_frames.set()
    for worker in made:
        worker.close(10)


def is_there(worker: Worker) -> None:
    waiting.until(lambda: worker.state == "idle", 10, "the camera")


def test_who_asks_for_a_camera_right_after_its_shutdown_gets_it_at_once(make: Callable[..., Worker], tmp_path: Path) -> None:
    """Although its thread may not have seen the shutdown yet."""
    StateFile(tmp_path / "failures.json").save({"in_a_row": 10, "stuck": True})
    worker = make()  # it is to try its camera once a minute only
    assert worker.state == "initializing"
    for _ in range(3):
        worker.want(False)
        worker.want(True)
        assert worker.state == "idle"


def test_who_hears_that_it_is_lost_or_back_finds_it_so(make: Callable[..., Worker], camera: Camera) -> None:
    states: dict[str, str] = {}
    worker = make(lambda name, _: states.setdefault(name, worker.state))
    is_there(worker)
    camera.faults.gone = True
    waiting.until(lambda: "camera_lost" in states, 10, "its loss")
    camera.faults.gone = False
    waiting.until(lambda: "camera_back" in states, 10, "it")
    assert states == {"camera_lost": "initializing", "camera_back": "idle"}


def test_a_hold_that_ends_while_the_camera_is_being_opened_ends(make: Callable[..., Worker], camera: Camera) -> None:
    worker = make()
    is_there(worker)
    cases = standing(worker._settings.configured(), Transform())
    worker.reconfigure(cases, held=True).done.result(10)
    assert worker.require().held
    camera.faults.gone = True
    waiting.until(lambda: worker.session is None, 10, "its loss")
    camera.brings_frames.clear()
    camera.is_held.clear()
    camera.faults.gone = False
    assert camera.is_held.wait(10), "it is opened again"
    with pytest.raises(NotConnected):
        worker.reconfigure(cases, held=False)
    camera.brings_frames.set()
    is_there(worker)
    waiting.until(lambda: not worker.require().held, 5, "the hold to end")


def test_all_whose_orders_a_lost_camera_had_not_carried_out_are_told(make: Callable[..., Worker], camera: Camera) -> None:
    worker = make()
    is_there(worker)
    camera.hold()
    camera.refuses_controls = True
    orders = [worker.change({"AnalogueGain": gain}) for gain in (1.0, 2.0, 3.0)]
    camera.brings_frames.set()
    for order in orders:
        assert isinstance(order.done.exception(10), DeviceLost)


def test_a_shot_that_comes_in_the_moment_of_the_shutdown_is_told(make: Callable[..., Worker]) -> None:
    worker = make()
    is_there(worker)
    worker.want(False)
    lost: list[ObservatoryError] = []
    worker._inbox.add_shot(Shot((), lambda frame: None, lost.append))  # as by who has asked for the camera just before
    waiting.until(lambda: lost, 5, "it to be told")
    assert "shut down" in str(lost[0])
