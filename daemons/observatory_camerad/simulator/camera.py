"""The simulated camera: paced frames, controls that take effect some frames late, metadata, faults.

Nothing is rendered until somebody asks a frame for its pixels.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from observatory_camerad.drivers.base import CameraDriver, Capabilities, Configuration, Request, Stream
from observatory_camerad.simulator.clocks import Clocks, SystemClocks
from observatory_camerad.simulator.controls import controls, require_possible
from observatory_camerad.simulator.faults import LOOK_EVERY_NS, Faults, FaultSource
from observatory_camerad.simulator.loop import ControlLoop, FrameSettings, colour_temperature_k
from observatory_camerad.simulator.modes import (
    FORMATS,
    LONGEST_EXPOSURE_US,
    MODES,
    PATTERN,
    SIZE,
    WHOLE,
    fitting_mode,
    flipped_pattern,
)
from observatory_camerad.simulator.render import FrameFacts, Renderer, SimulatedRequest
from observatory_camerad.simulator.scene import Scene, SceneConfig
from observatory_camerad.simulator.sensor import Sensor, SensorConfig
from observatory_common.errors import CommandFailed, NotConnected
from observatory_common.timestamps import at_one_instant

__all__ = ["MODES", "SIZE", "Faults", "SimulatedCamera", "SimulatedOptics"]

_EFFECT_AFTER_FRAMES = 2


@dataclass
class SimulatedOptics:
    """How far from sharp the picture is, in pixels of standard deviation at the whole sensor's scale."""

    seeing_sigma_pixels: float
    best_lens_position: float = 1.0  # where a lens stands until somebody moves it
    sigma_per_dioptre: float = 3.0
    #: Defocus that a telescope's focuser adds, in pixels; read with every frame, never waited for.
    focuser_defocus: Callable[[], float] = field(default=lambda: 0.0)

    def sigma(self, lens_position: float) -> float:
        """The width of a star."""
        lens = (lens_position - self.best_lens_position) * self.sigma_per_dioptre
        return float(np.sqrt(self.seeing_sigma_pixels**2 + lens**2 + self.focuser_defocus() ** 2))


class SimulatedCamera(CameraDriver):
    """A camera with two sensor modes, 12 bits, RGGB, and an autofocus lens.

    `faults` are set by the same process, those in the file `faults_path` by others.
    """

    def __init__(
        self,
        scene: SceneConfig,
        sensor: SensorConfig,
        optics: SimulatedOptics,
        faults: Faults | None = None,
        faults_path: Path | None = None,
        clocks: Clocks | None = None,
    ) -> None:
        self.faults = faults if faults is not None else Faults()
        self._faults = FaultSource(self.faults, faults_path)
        self._clocks: Clocks = clocks if clocks is not None else SystemClocks()
        self._renderer = Renderer(Scene(scene, SIZE, PATTERN), Sensor(sensor, scene.seed))
        self._optics = optics
        self._interrupted = threading.Event()
        self._configuration: Configuration | None = None
        self._mode = 0
        self._open = False
        longest = (MODES[0].shortest_frame_us, LONGEST_EXPOSURE_US)
        self._controls = controls(WHOLE, (MODES[0].exposure_us[0], LONGEST_EXPOSURE_US), longest)

    @property
    def scene(self) -> Scene:
        """What it looks at."""
        return self._renderer.scene

    @property
    def sensor(self) -> Sensor:
        """Its sensor's model."""
        return self._renderer.sensor

    @property
    def rendered(self) -> int:
        """How many frames have been rendered."""
        return self._renderer.rendered

    def open(self) -> Capabilities:
        """Take the camera. Raises NotConnected by the faults asked for."""
        now_ns = self._clocks.monotonic_ns()
        self._faults.look(now_ns, at_once=True)
        self._faults.require_to_open()
        self._open = True
        self._opened_ns = now_ns
        self._coming: deque[tuple[int, dict[str, Any]]] = deque()
        self._number = 0
        self._loop = ControlLoop(self.scene.config, self.sensor.config)
        return Capabilities(
            driver="simulator",
            model="simulated",
            location="simulator",
            sensor_size=SIZE,
            pixel_size_um=2.0,
            bayer_pattern=PATTERN,
            modes=MODES,
            controls=self._controls,
            streams=FORMATS,
            features=frozenset({"raw", "bayer", "autofocus"}),
            control_delay_frames=3,
        )

    def close(self) -> None:
        """Let go."""
        self._open = False
        self._configuration = None

    def configure(self, wanted: Configuration, controls: Mapping[str, Any] | None = None) -> Configuration:
        """Any even size up to the mode's; raw has the mode's own. Where none is named, the streams' sizes choose the mode."""
        self._require()
        number = fitting_mode(wanted.streams) if wanted.mode is None else wanted.mode
        if not 0 <= number < len(MODES):
            raise CommandFailed(f"there is no sensor mode {number}, expected 0 to {len(MODES) - 1}")
        mode = MODES[number]
        streams = {}
        for name, stream in wanted.streams.items():
            if stream.format not in FORMATS.get(name, ()):
                allowed = ", ".join(FORMATS.get(name, ())) or "no such stream"
                raise CommandFailed(f"stream {name} cannot have the format {stream.format}, expected {allowed}")
            size = mode.size if name == "raw" else (max(stream.size[0], 2) & ~1, max(stream.size[1], 2) & ~1)
            if size[0] > mode.size[0] or size[1] > mode.size[1]:
                sizes = f"{size[0]}x{size[1]} is larger than sensor mode {number}, {mode.size[0]}x{mode.size[1]}"
                raise CommandFailed(f"stream {name} of {sizes}")
            pixel_format = f"S{flipped_pattern(wanted)}12" if name == "raw" else stream.format
            streams[name] = Stream(size, pixel_format)
        for name, value in (controls or {}).items():
            require_possible(name, value, self._controls)
        for _, values in self._coming:
            self._loop.apply(values)
        self._coming.clear()
        self._loop.apply(controls or {})
        self._configuration = replace(wanted, streams=streams, mode=number)
        self._mode = number
        self._next = self._loop.settings(mode)
        self._next_ns = self._clocks.monotonic_ns() + self._next.frame_us * 1000
        self._interrupted.clear()
        return self._configuration

    def set_controls(self, values: Mapping[str, Any]) -> None:
        """Taken with the next frame, in effect two frames later. Raises CommandFailed; then none of them is taken."""
        self._require()
        for name, value in values.items():
            require_possible(name, value, self._controls)
        self._coming.append((self._number + _EFFECT_AFTER_FRAMES, dict(values)))

    def interrupt(self) -> None:
        """Wake `next_request`."""
        self._interrupted.set()

    def next_request(self, timeout_s: float) -> Request | None:
        """Wait for the end of the frame under way. Frames that wait for a late reader: as many as there are buffers."""
        self._require()
        if self._configuration is None:
            raise CommandFailed("the camera is not configured")
        until_ns = self._clocks.monotonic_ns() + round(timeout_s * 1e9)
        while True:
            self._faults.look(self._clocks.monotonic_ns())
            self._faults.require_to_read()
            hang_s = self._faults.take_hang_s()
            if hang_s:
                self._clocks.wait(threading.Event(), hang_s)  # nobody can set this one
            now_ns, stalled = self._clocks.monotonic_ns(), self._faults.stalled
            if stalled:
                self._skip_to(now_ns, 0)
            elif now_ns >= self._next_ns:
                self._skip_to(now_ns, self._configuration.buffer_count)
                frame = self._take(self._configuration)
                if self._faults.take_drop():
                    continue
                return frame
            if now_ns >= until_ns:
                return None
            wake_ns = until_ns if stalled else min(self._next_ns, until_ns)
            if self._faults.may_change:
                wake_ns = min(wake_ns, now_ns + LOOK_EVERY_NS)
            if self._clocks.wait(self._interrupted, (wake_ns - now_ns) / 1e9):
                self._interrupted.clear()
                return None

    def _require(self) -> None:
        self._faults.require()
        if not self._open:
            raise NotConnected("the simulated camera is not open")

    def _skip_to(self, now_ns: int, kept: int) -> None:
        """Lose the frames that found no buffer, in whole steps of the frame grid; `kept` of those that ended stay."""
        step_ns = self._next.frame_us * 1000
        lost = (now_ns - self._next_ns) // step_ns + 1 - kept
        if lost > 0:
            self._next_ns += lost * step_ns
            self._number += lost

    def _take(self, configuration: Configuration) -> SimulatedRequest:
        """The frame that has ended; what the next one, which has begun, is taken with; and what the algorithms say to it."""
        mode, taken, ended_ns = MODES[self._mode], self._next, self._next_ns
        self._number += 1
        sigma = self._optics.sigma(taken.lens_position)
        middle_ns = ended_ns - taken.exposure_us * 500
        facts = FrameFacts(self._number, self._mode, sigma, (middle_ns - self._opened_ns) / 1e9, taken)
        request = SimulatedRequest(self._renderer, configuration, facts, self._metadata(taken, sigma, ended_ns))
        self._loop.converge(mode, taken, sigma)
        while self._coming and self._coming[0][0] <= self._number:
            self._loop.apply(self._coming.popleft()[1])
        self._next = self._loop.settings(mode)
        self._next_ns += self._next.frame_us * 1000
        return request

    def _metadata(self, taken: FrameSettings, sigma_pixels: float, ended_ns: int) -> dict[str, Any]:
        """Libcamera's names and units. The stamps are those of the exposure's end, which is the start of the readout."""
        now_ns, boot_ns, wall_ns = at_one_instant(self._clocks.monotonic_ns, self._clocks.boot_ns, self._clocks.wall_ns)
        return {
            "ExposureTime": taken.exposure_us,
            "AnalogueGain": taken.gain,
            "DigitalGain": taken.digital_gain,
            "ColourGains": taken.colour_gains,
            "ColourTemperature": colour_temperature_k(taken.colour_gains),
            "Lux": self.scene.config.sky_photons_per_s / 20.0,
            "LensPosition": taken.lens_position,
            "FocusFoM": round(2000 / (1 + sigma_pixels)),
            "AfState": taken.focus_state,
            "AeState": 2 if taken.exposure_converged else 1,
            "SensorTemperature": 35.0,
            "SensorTimestamp": boot_ns - (now_ns - ended_ns),
            "FrameWallClock": wall_ns - (now_ns - ended_ns),
            "FrameDuration": taken.frame_us,
            "ScalerCrop": taken.crop,
            "SensorBlackLevels": (self.sensor.config.black_level << 4,) * 4,
        }
