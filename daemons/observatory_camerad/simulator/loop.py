"""The simulated camera's controls at work: what the next frame is taken with, and what the algorithms make of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from observatory_camerad.drivers.base import Rectangle, SensorMode
from observatory_camerad.simulator import isp
from observatory_camerad.simulator.algorithms import AutoExposure, AutoWhiteBalance, ExposureWish
from observatory_camerad.simulator.autofocus import AF_AUTO, AF_MANUAL, AutoFocus
from observatory_camerad.simulator.controls import AF_RANGES, AWB_TEMPERATURES_K, GAIN_RANGE
from observatory_camerad.simulator.modes import LONGEST_EXPOSURE_US, WHOLE, possible_crop
from observatory_camerad.simulator.scene import SceneConfig, temperature_of, white_gains
from observatory_camerad.simulator.sensor import SensorConfig

_LONGEST_AUTOMATIC_US = 33333  # of auto exposure, until frames may be longer
_MOST_DIGITAL_GAIN = 1.5
_LENS_AT_FIRST = 1.0
_LOOK = {
    "Brightness": "brightness",
    "Contrast": "contrast",
    "Saturation": "saturation",
    "Sharpness": "sharpness",
    "NoiseReductionMode": "noise_reduction",
}


@dataclass(frozen=True)
class FrameSettings:
    """What one frame is taken with. Microseconds, dioptres; states are libcamera's numbers."""

    exposure_us: int
    gain: float
    digital_gain: float
    frame_us: int
    colour_gains: tuple[float, float]
    lens_position: float
    focus_state: int
    exposure_converged: bool
    crop: Rectangle
    look: isp.Look


class ControlLoop:
    """Holds the controls' values; one thread's."""

    def __init__(self, scene: SceneConfig, sensor: SensorConfig) -> None:
        self._scene = scene
        self._sensor = sensor
        self._values: dict[str, Any] = {}
        self._exposure = AutoExposure()
        self._white_balance = AutoWhiteBalance()
        self._focus = AutoFocus(_LENS_AT_FIRST)

    def apply(self, values: Mapping[str, Any]) -> None:
        """Take over checked values, in libcamera's names and units."""
        self._values.update(values)
        if values.get("ExposureTime"):
            self._exposure.exposure_us = float(values["ExposureTime"])
        if values.get("AnalogueGain"):
            self._exposure.gain = float(values["AnalogueGain"])
        if "ColourGains" in values:
            red, blue = map(float, values["ColourGains"])
            self._values["AwbEnable"] = not (red and blue)  # a gain of 0 gives it back to the algorithm
            if red and blue:
                self._white_balance.gains = red, blue
        self._apply_focus(values)

    def _apply_focus(self, values: Mapping[str, Any]) -> None:
        if "AfMode" in values:
            self._focus.set_mode(int(values["AfMode"]))
        if "LensPosition" in values and self._focus.mode == AF_MANUAL:
            self._focus.position = float(values["LensPosition"])
        if "AfTrigger" in values and self._focus.mode == AF_AUTO:
            if values["AfTrigger"] == 0:
                self._focus.trigger(*self._scan())
            else:
                self._focus.cancel()
        if "AfPause" in values:
            self._focus.pause(int(values["AfPause"]))

    def settings(self, mode: SensorMode) -> FrameSettings:
        """For the frame that begins now: exposure in whole lines of the sensor, gain in its steps, both within the limits."""
        line_us = mode.exposure_us[0]
        shortest, longest = self._frame_limits_us(mode, LONGEST_EXPOSURE_US)
        wanted = self._exposure.exposure_us * self._exposure.gain
        exposure_us = max(int(min(self._exposure.exposure_us, longest) // line_us), 1) * line_us
        gain = round(self._exposure.gain * 256) / 256
        automatic = self._values.get("AeEnable", True)
        return FrameSettings(
            exposure_us=exposure_us,
            gain=gain,
            digital_gain=min(max(wanted / (exposure_us * gain), 1.0), _MOST_DIGITAL_GAIN) if automatic else 1.0,
            frame_us=max(shortest, exposure_us),
            colour_gains=self._colour_gains(),
            lens_position=self._focus.position,
            focus_state=self._focus.state,
            exposure_converged=self._exposure.converged,
            crop=possible_crop(self._values.get("ScalerCrop", WHOLE), mode),
            look=isp.Look(**{name: self._values[key] for key, name in _LOOK.items() if key in self._values}),
        )

    def converge(self, mode: SensorMode, taken: FrameSettings, sigma_pixels: float) -> None:
        """Let the algorithms see a frame: what it was taken with, and how wide its stars are."""
        if self._values.get("AeEnable", True):
            electrons = self._scene.sky_photons_per_s * self._sensor.quantum_efficiency * taken.exposure_us / 1e6
            largest = (1 << self._sensor.bit_depth) - 1
            mean = electrons * self._sensor.numbers_per_electron * taken.gain / (largest - self._sensor.black_level)
            self._exposure.update(mean, self._exposure_wish(mode))
        if self._values.get("AwbEnable", True):
            self._white_balance.update(white_gains(self._scene.colour_temperature_k))
        self._focus.update(1.0 / sigma_pixels, *self._scan())

    def _colour_gains(self) -> tuple[float, float]:
        mode = self._values.get("AwbMode", 0)
        if self._values.get("AwbEnable", True) and mode:
            return white_gains(AWB_TEMPERATURES_K[mode])
        return self._white_balance.gains

    def _exposure_wish(self, mode: SensorMode) -> ExposureWish:
        values = self._values
        return ExposureWish(
            ev=float(values.get("ExposureValue", 0.0)),
            exposure_us=(float(mode.exposure_us[0]), float(self._frame_limits_us(mode, _LONGEST_AUTOMATIC_US)[1])),
            gains=GAIN_RANGE,
            exposure_fixed=bool(values.get("ExposureTime")),
            gain_fixed=bool(values.get("AnalogueGain")),
            short=values.get("AeExposureMode", 0) == 1,
            flicker_us=int(values.get("AeFlickerPeriod", 10000)) if values.get("AeFlickerMode", 0) else 0,
        )

    def _frame_limits_us(self, mode: SensorMode, longest_at_first: int) -> tuple[int, int]:
        """As far as the mode has them."""
        shortest, longest = self._values.get("FrameDurationLimits", (33333, longest_at_first))
        return max(int(shortest), mode.shortest_frame_us), max(int(longest), mode.shortest_frame_us)

    def _scan(self) -> tuple[tuple[float, float], bool]:
        return AF_RANGES[self._values.get("AfRange", 0)], self._values.get("AfSpeed", 0) == 1


def colour_temperature_k(gains: tuple[float, float]) -> int:
    """What metadata say of the light."""
    return round(temperature_of(gains))
