"""Frames of the simulated camera: rendered when somebody looks at them, not before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from observatory_camerad.drivers.base import Configuration, Request
from observatory_camerad.simulator import isp
from observatory_camerad.simulator.loop import FrameSettings
from observatory_camerad.simulator.modes import MODES, SIZE, flipped_pattern
from observatory_camerad.simulator.scene import Scene
from observatory_camerad.simulator.sensor import Sensor


@dataclass(frozen=True)
class FrameFacts:
    """Which frame: its number, its sensor mode's, how wide a star is (pixels of the whole sensor), the middle of its exposure
    in seconds since the camera was opened."""

    number: int
    mode: int
    sigma_pixels: float
    at_s: float
    settings: FrameSettings


class Renderer:
    """From a scene to raw frames. `rendered` counts them."""

    def __init__(self, scene: Scene, sensor: Sensor) -> None:
        self.scene = scene
        self.sensor = sensor
        self.rendered = 0
        self._binned: tuple[np.ndarray, np.ndarray] | None = None

    def rates(self, mode: int, sigma_pixels: float) -> np.ndarray:
        """Photons per second on each pixel of a mode, without movers; a binned pixel has the mean of its four."""
        whole = self.scene.rates(sigma_pixels)
        if MODES[mode].size == SIZE:
            return whole
        if self._binned is None or self._binned[0] is not whole:
            self._binned = (whole, _binned(whole))
        return self._binned[1]

    def raw(self, configuration: Configuration, facts: FrameFacts) -> np.ndarray:
        """The raw frame, flipped as configured."""
        import cv2

        self.rendered += 1
        exposure_s, gain = facts.settings.exposure_us / 1e6, facts.settings.gain
        raw = self.sensor.expose(self.rates(facts.mode, facts.sigma_pixels), exposure_s, gain, facts.number)
        binning = SIZE[0] // MODES[facts.mode].size[0]
        for part, (place, rates) in enumerate(self.scene.moved(facts.sigma_pixels, facts.at_s)):
            x, y, width, height = (value // binning for value in place)
            light = rates if binning == 1 else _binned(rates)
            raw[y : y + height, x : x + width] = self.sensor.expose_part(light, exposure_s, gain, facts.number, part)
        if configuration.hflip or configuration.vflip:
            raw = cv2.flip(raw, -1 if configuration.hflip and configuration.vflip else int(configuration.hflip))
        return raw


def _binned(rates: np.ndarray) -> np.ndarray:
    """Pixels of the same colour by twos, across and down."""
    import cv2

    height, width = rates.shape
    binned = np.empty((height // 2, width // 2), np.float32)
    for row in (0, 1):
        for column in (0, 1):
            plane = np.ascontiguousarray(rates[row::2, column::2])
            binned[row::2, column::2] = cv2.resize(plane, (width // 4, height // 4), interpolation=cv2.INTER_AREA)
    return binned


class SimulatedRequest(Request):
    """A frame of the simulated camera."""

    def __init__(
        self, renderer: Renderer, configuration: Configuration, facts: FrameFacts, metadata: Mapping[str, Any]
    ) -> None:
        self.metadata = metadata
        self.number = facts.number
        self._renderer = renderer
        self._configuration = configuration
        self._facts = facts
        self._raw: np.ndarray | None = None

    def array(self, stream: str) -> np.ndarray:
        """The pixels of a stream."""
        wanted = self._configuration.streams[stream]
        if self._raw is None:
            self._raw = self._renderer.raw(self._configuration, self._facts)
        if stream == "raw":
            return self._raw
        sensor, settings = self._renderer.sensor, self._facts.settings
        size = MODES[self._facts.mode].size
        binning = SIZE[0] // size[0]
        x, y, width, height = (value // binning for value in settings.crop)
        x = size[0] - x - width if self._configuration.hflip else x
        y = size[1] - y - height if self._configuration.vflip else y
        return isp.picture(
            self._raw,
            flipped_pattern(self._configuration),
            (sensor.config.black_level, sensor.largest),
            settings.colour_gains,
            settings.digital_gain,
            settings.look,
            (x, y, width, height),
            wanted,
        )

    def release(self) -> None:
        """Forget the pixels."""
        self._raw = None
