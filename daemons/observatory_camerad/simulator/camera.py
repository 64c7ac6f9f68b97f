"""The simulated camera: paced frames, controls that take effect some frames late, algorithms, metadata, faults.

Nothing is rendered until somebody asks a frame for its pixels.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from observatory_camerad.drivers.base import (
    CameraDriver,
    Capabilities,
    Configuration,
    Rectangle,
    Request,
    SensorMode,
    Stream,
)
from observatory_camerad.simulator import algorithms, isp
from observatory_camerad.simulator.controls import AWB_TEMPERATURES_K, GAIN_RANGE, LENS_RANGE, controls
from observatory_camerad.simulator.scene import Scene, SceneConfig, temperature_of, white_gains
from observatory_camerad.simulator.sensor import Sensor, SensorConfig
from observatory_common.errors import CommandFailed, DeviceLost, NotConnected

PATTERN = "RGGB"
SIZE = (2560, 1440)
_WHOLE: Rectangle = (0, 0, *SIZE)
_LONGEST_EXPOSURE_US = 600_000_000
MODES = (
    SensorMode((1280, 720), 12, "SRGGB12", _WHOLE, 8333, (29, _LONGEST_EXPOSURE_US)),
    SensorMode(SIZE, 12, "SRGGB12", _WHOLE, 33333, (58, _LONGEST_EXPOSURE_US)),
)
_FORMATS = {"main": ("RGB888", "BGR888", "YUV420"), "lores": ("YUV420", "RGB888", "BGR888"), "raw": ("SRGGB12",)}
_EFFECT_AFTER_FRAMES = 2
_PICTURE_CONTROLS = {"Brightness": "brightness", "Contrast": "contrast", "Saturation": "saturation", "Sharpness": "sharpness"}


@dataclass
class Faults:
    """What goes wrong, on request: `stall` until cleared, so many dropped frames, no opening, a vanished camera."""

    stalled: bool = False
    drop_frames: int = 0
    refuse_open: bool = False
    gone: bool = False


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
    """A camera with two sensor modes, 12 bits, RGGB, and an autofocus lens."""

    def __init__(self, scene: SceneConfig, sensor: SensorConfig, optics: SimulatedOptics, faults: Faults | None = None) -> None:
        self.faults = faults if faults is not None else Faults()
        self._scene = Scene(scene, SIZE, PATTERN)
        self._sensor = Sensor(sensor, scene.seed)
        self._optics = optics
        self._binned: tuple[np.ndarray, np.ndarray] | None = None
        self._interrupted = threading.Event()
        self._configuration: Configuration | None = None
        self._open = False
        longest = (MODES[0].shortest_frame_us, _LONGEST_EXPOSURE_US)
        self._controls = controls(_WHOLE, (29, _LONGEST_EXPOSURE_US), longest)

    @property
    def scene(self) -> Scene:
        """What it looks at."""
        return self._scene

    def open(self) -> Capabilities:
        """Take the camera. Raises NotConnected by the faults asked for."""
        if self.faults.refuse_open or self.faults.gone:
            raise NotConnected("the simulated camera cannot be opened")
        self._open = True
        self._values: dict[str, Any] = {}
        self._coming: deque[tuple[int, dict[str, Any]]] = deque()
        self._number = 0
        self._exposure = algorithms.AutoExposure()
        self._white_balance = algorithms.AutoWhiteBalance()
        self._focus = algorithms.AutoFocus(LENS_RANGE, 1.0)
        return Capabilities(
            driver="simulator",
            model="simulated",
            location="simulator",
            sensor_size=SIZE,
            pixel_size_um=2.0,
            bayer_pattern=PATTERN,
            modes=MODES,
            controls=self._controls,
            streams=_FORMATS,
            features=frozenset({"raw", "bayer", "autofocus"}),
        )

    def close(self) -> None:
        """Let go."""
        self._open = False
        self._configuration = None

    def configure(self, wanted: Configuration) -> Configuration:
        """Any even size up to the mode's; raw has the mode's own."""
        self._require()
        if not 0 <= wanted.mode < len(MODES):
            raise CommandFailed(f"there is no sensor mode {wanted.mode}, expected 0 to {len(MODES) - 1}")
        mode = MODES[wanted.mode]
        streams = {}
        for name, stream in wanted.streams.items():
            if stream.format not in _FORMATS.get(name, ()):
                raise CommandFailed(f"stream {name} cannot have the format {stream.format}")
            size = mode.size if name == "raw" else (max(stream.size[0], 2) & ~1, max(stream.size[1], 2) & ~1)
            if size[0] > mode.size[0] or size[1] > mode.size[1]:
                raise CommandFailed(f"stream {name} is larger than sensor mode {wanted.mode}, {mode.size[0]}x{mode.size[1]}")
            pixel_format = f"S{flipped_pattern(wanted)}12" if name == "raw" else stream.format
            streams[name] = Stream(size, pixel_format)
        self._configuration = Configuration(streams, wanted.mode, wanted.buffer_count, wanted.hflip, wanted.vflip)
        self._binned = None
        self._next_at = time.monotonic()
        self._interrupted.clear()
        return self._configuration

    def set_controls(self, values: Mapping[str, Any]) -> None:
        """Taken with the next frame, in effect two frames later."""
        self._require()
        self._coming.append((self._number + _EFFECT_AFTER_FRAMES, dict(values)))

    def interrupt(self) -> None:
        """Wake `next_request`."""
        self._interrupted.set()

    def next_request(self, timeout_s: float) -> Request | None:
        """Wait for the end of the frame under way."""
        self._require()
        if self._configuration is None:
            raise CommandFailed("the camera is not configured")
        until = time.monotonic() + timeout_s
        while True:
            wait_s = (until if self.faults.stalled else min(self._next_at, until)) - time.monotonic()
            if wait_s > 0 and self._interrupted.wait(wait_s):
                self._interrupted.clear()
                return None
            if self.faults.gone:
                raise DeviceLost("the simulated camera has gone")
            if time.monotonic() < self._next_at or self.faults.stalled:
                return None
            frame = self._take()
            if self.faults.drop_frames:
                self.faults.drop_frames -= 1
                continue
            return frame

    def _require(self) -> None:
        if self.faults.gone:
            raise DeviceLost("the simulated camera has gone")
        if not self._open:
            raise NotConnected("the simulated camera is not open")

    def _take(self) -> SimulatedRequest:
        """One frame further: controls, pace, metadata, algorithms."""
        assert self._configuration is not None
        mode = MODES[self._configuration.mode]
        while self._coming and self._coming[0][0] <= self._number:
            self._apply(self._coming.popleft()[1])
        self._number += 1
        exposure_us, gain, digital_gain = self._exposure_now(mode)
        frame_us = self._frame_us(mode, exposure_us)
        ended_at = self._next_at
        self._next_at = max(self._next_at, time.monotonic() - frame_us / 1e6) + frame_us / 1e6
        gains = self._gains_now()
        sigma = self._optics.sigma(self._focus.position)
        crop = tuple(self._values.get("ScalerCrop", _WHOLE))
        age_s = time.monotonic() - ended_at
        metadata = {
            "ExposureTime": exposure_us,
            "AnalogueGain": gain,
            "DigitalGain": digital_gain,
            "ColourGains": gains,
            "ColourTemperature": round(temperature_of(gains)),
            "Lux": self._scene.config.sky_photons_per_s / 20.0,
            "LensPosition": self._focus.position,
            "FocusFoM": round(2000 / (1 + sigma)),
            "AfState": self._focus.state,
            "AeState": 2 if self._exposure.converged else 1,
            "SensorTemperature": 35.0,
            "SensorTimestamp": time.clock_gettime_ns(time.CLOCK_BOOTTIME) - round(age_s * 1e9),
            "FrameWallClock": time.time_ns() - round(age_s * 1e9),
            "FrameDuration": frame_us,
            "ScalerCrop": crop,
            "SensorBlackLevels": (self._sensor.config.black_level << 4,) * 4,
        }
        request = SimulatedRequest(self, self._configuration, self._number, sigma, metadata, self._look())
        self._converge(mode, exposure_us, gain, sigma)
        return request

    def _apply(self, values: Mapping[str, Any]) -> None:
        self._values.update(values)
        if values.get("ExposureTime") or values.get("AnalogueGain"):
            self._exposure.exposure_us = float(self._values.get("ExposureTime") or self._exposure.exposure_us)
            self._exposure.gain = float(self._values.get("AnalogueGain") or self._exposure.gain)
        if "ColourGains" in values:
            self._white_balance.gains = tuple(map(float, values["ColourGains"]))  # type: ignore[assignment]
            self._values["AwbEnable"] = False
        if "AfMode" in values:
            self._focus.mode = int(values["AfMode"])
            self._focus.state = algorithms.AF_IDLE
        if "LensPosition" in values and self._focus.mode == algorithms.AF_MANUAL:
            self._focus.position = float(values["LensPosition"])
        if "AfTrigger" in values and self._focus.mode == algorithms.AF_AUTO:
            if values["AfTrigger"] == 0:
                self._focus.trigger()
            else:
                self._focus.cancel()

    def _exposure_now(self, mode: SensorMode) -> tuple[int, float, float]:
        """Exposure in whole lines of the sensor, gain in its steps, and what the ISP adds to make up for both."""
        line_us = mode.exposure_us[0]
        wanted = self._exposure.exposure_us * self._exposure.gain
        longest = self._values.get("FrameDurationLimits", (0, _LONGEST_EXPOSURE_US))[1]
        exposure_us = max(int(min(self._exposure.exposure_us, longest) // line_us), 1) * line_us
        gain = round(self._exposure.gain * 256) / 256
        automatic = self._values.get("AeEnable", True)
        digital_gain = min(max(wanted / (exposure_us * gain), 1.0), 1.5) if automatic else 1.0
        return exposure_us, gain, digital_gain

    def _frame_us(self, mode: SensorMode, exposure_us: int) -> int:
        shortest, longest = self._values.get("FrameDurationLimits", (33333, 33333))
        return int(max(mode.shortest_frame_us, min(max(shortest, exposure_us), max(longest, shortest)), exposure_us))

    def _gains_now(self) -> tuple[float, float]:
        if self._values.get("AwbEnable", True) and self._values.get("AwbMode", 0) != 0:
            return white_gains(AWB_TEMPERATURES_K[self._values["AwbMode"]])
        return self._white_balance.gains

    def _look(self) -> isp.Look:
        return isp.Look(**{name: float(self._values[key]) for key, name in _PICTURE_CONTROLS.items() if key in self._values})

    def _converge(self, mode: SensorMode, exposure_us: int, gain: float, sigma: float) -> None:
        sensor = self._sensor.config
        if self._values.get("AeEnable", True):
            electrons = self._scene.config.sky_photons_per_s * sensor.quantum_efficiency * exposure_us / 1e6
            mean = electrons * sensor.numbers_per_electron * gain / (self._sensor.largest - sensor.black_level)
            longest = self._values.get("FrameDurationLimits", (33333, 33333))[1]
            fixed = bool(self._values.get("ExposureTime")), bool(self._values.get("AnalogueGain"))
            ev = float(self._values.get("ExposureValue", 0.0))
            self._exposure.update(mean, ev, (mode.exposure_us[0], float(longest)), GAIN_RANGE, fixed)
        if self._values.get("AwbEnable", True):
            self._white_balance.update(white_gains(self._scene.config.colour_temperature_k))
        self._focus.update(1.0 / sigma)

    def rates(self, mode: int, sigma: float) -> np.ndarray:
        """Photons per second on each pixel of a mode; a binned pixel has the mean of its four."""
        whole = self._scene.rates(sigma)
        if MODES[mode].size == SIZE:
            return whole
        if self._binned is None or self._binned[0] is not whole:
            height, width = whole.shape
            cells = whole.reshape(height // 4, 2, 2, width // 4, 2, 2)
            self._binned = (whole, cells.mean(axis=(1, 4)).reshape(height // 2, width // 2).astype(np.float32))
        return self._binned[1]

    def raw(self, configuration: Configuration, number: int, sigma: float, metadata: Mapping[str, Any]) -> np.ndarray:
        """The raw frame of a number, flipped as configured."""
        rates = self.rates(configuration.mode, sigma)
        raw = self._sensor.expose(rates, metadata["ExposureTime"] / 1e6, metadata["AnalogueGain"], number)
        raw = raw[:, ::-1] if configuration.hflip else raw
        return raw[::-1] if configuration.vflip else raw

    @property
    def sensor(self) -> Sensor:
        """Its sensor's model."""
        return self._sensor


def flipped_pattern(configuration: Configuration) -> str:
    """The mosaic's first four letters once the picture is flipped."""
    a, b, c, d = list(PATTERN)
    if configuration.hflip:
        a, b, c, d = b, a, d, c
    if configuration.vflip:
        a, b, c, d = c, d, a, b
    return a + b + c + d


class SimulatedRequest(Request):
    """A frame of the simulated camera, rendered when it is looked at."""

    def __init__(
        self,
        camera: SimulatedCamera,
        configuration: Configuration,
        number: int,
        sigma: float,
        metadata: Mapping[str, Any],
        look: isp.Look,
    ) -> None:
        self.metadata = metadata
        self._camera = camera
        self._configuration = configuration
        self._number = number
        self._sigma = sigma
        self._look = look
        self._raw: np.ndarray | None = None

    def array(self, stream: str) -> np.ndarray:
        """The pixels of a stream."""
        wanted = self._configuration.streams[stream]
        if self._raw is None:
            self._raw = self._camera.raw(self._configuration, self._number, self._sigma, self.metadata)
        if stream == "raw":
            return self._raw
        sensor = self._camera.sensor
        mode = MODES[self._configuration.mode]
        scale = mode.size[0] / SIZE[0]
        x, y, width, height = (round(value * scale) for value in self.metadata["ScalerCrop"])
        colours = isp.picture(
            self._raw,
            flipped_pattern(self._configuration),
            sensor.config.black_level,
            sensor.largest,
            self.metadata["ColourGains"],
            self.metadata["DigitalGain"],
            self._look,
            (x, y, width, height),
            wanted.size,
        )
        if wanted.format == "YUV420":
            import cv2

            return cv2.cvtColor(colours, cv2.COLOR_RGB2YUV_I420)
        # libcamera names the bytes from the last to the first: its RGB888 has blue first.
        return colours[:, :, ::-1] if wanted.format == "RGB888" else colours

    def release(self) -> None:
        """Forget the pixels."""
        self._raw = None
