"""The camera drivers that the contract is tested on, and what may excuse one of them from a test."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path

from driver_matrix import not_by_stack, not_here, not_offered

from observatory_camerad.drivers.base import CameraDriver, Capabilities


def simulated(absent: bool, video: Path) -> CameraDriver:
    from observatory_camerad.simulator.camera import Faults, SimulatedCamera, SimulatedOptics
    from observatory_camerad.simulator.scene import SceneConfig
    from observatory_camerad.simulator.sensor import SensorConfig

    return SimulatedCamera(SceneConfig(), SensorConfig(), SimulatedOptics(1.4), Faults(refuse_open=absent))


def picamera2(absent: bool, video: Path) -> CameraDriver:
    if importlib.util.find_spec("picamera2") is None:
        not_here("needs the Picamera2 library (Raspberry Pi OS has it; elsewhere it must be built)")
    from observatory_camerad.drivers.picamera2 import Picamera2Driver

    return Picamera2Driver(99 if absent else 0)


def v4l2_file(absent: bool, video: Path) -> CameraDriver:
    from observatory_camerad.drivers.v4l2 import V4l2Driver

    return V4l2Driver(str(video.with_name("absent.avi") if absent else video))


def v4l2_device(absent: bool, video: Path) -> CameraDriver:
    from observatory_camerad.drivers.v4l2 import V4l2Driver

    path = os.environ.get("OBSERVATORY_TEST_V4L2")
    if path is None:
        not_here("needs a USB camera, whose path is in OBSERVATORY_TEST_V4L2")
    return V4l2Driver("/dev/video9999" if absent else path)


DRIVERS: dict[str, Callable[[bool, Path], CameraDriver]] = {
    "simulator": simulated,
    "picamera2": picamera2,
    "v4l2-file": v4l2_file,
    "v4l2-device": v4l2_device,
}
CHOSEN = [name for name in os.environ.get("OBSERVATORY_CONTRACT_DRIVERS", "").split(",") if name] or list(DRIVERS)


def software_stack(driver: CameraDriver) -> str | None:
    """What stands under the driver instead of hardware, if so: libcamera reaches any real camera through a media device."""
    if type(driver).__name__ == "Picamera2Driver" and not list(Path("/dev").glob("media*")):
        return "a libcamera pipeline in software, without image processing"
    return None


def expect(done: bool, driver: CameraDriver, what: str) -> None:
    """Something that hardware does: a software stack may be without, anything else fails."""
    stack = software_stack(driver)
    if not done and stack is not None:
        not_by_stack(f"{what} ({stack})")
    assert done, what


def offered(opened: Capabilities, *names: str) -> None:
    """Skip, with the reason, what the driver's own list of controls does not have."""
    missing = [name for name in names if name not in opened.controls]
    if missing:
        not_offered(f"{opened.model} has no control {', '.join(missing)}")
