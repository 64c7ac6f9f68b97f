"""A simulated camera for tests, on clocks that run ahead."""

from __future__ import annotations

from collections.abc import Iterator

from observatory_camerad.drivers.base import Configuration, Stream
from observatory_camerad.simulator.camera import SimulatedCamera, SimulatedOptics
from observatory_camerad.simulator.clocks import Clocks, LeapingClocks
from observatory_camerad.simulator.faults import Faults
from observatory_camerad.simulator.render import SimulatedRequest
from observatory_camerad.simulator.scene import SceneConfig
from observatory_camerad.simulator.sensor import SensorConfig

QUICK = {"FrameDurationLimits": (8333, 8333)}
ALL = {"main": Stream((1280, 720), "RGB888"), "lores": Stream((640, 360), "YUV420"), "raw": Stream((1280, 720), "SRGGB12")}


def camera(
    scene: SceneConfig | None = None,
    faults: Faults | None = None,
    optics: SimulatedOptics | None = None,
    clocks: Clocks | None = None,
    **configuration,
) -> SimulatedCamera:
    """On clocks of its own, which run ahead, unless others are asked for."""
    optics = optics or SimulatedOptics(1.4)
    made = SimulatedCamera(scene or SceneConfig(), SensorConfig(), optics, faults, clocks=clocks or LeapingClocks())
    made.open()
    made.configure(Configuration(configuration.pop("streams", ALL), **configuration))
    return made


def frames(made: SimulatedCamera, count: int) -> Iterator[SimulatedRequest]:
    """So many frames; each is released when the next is asked for."""
    for _ in range(count):
        request = made.next_request(5)
        assert request is not None
        yield request
        request.release()
