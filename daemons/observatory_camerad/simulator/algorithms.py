"""Auto exposure, white balance and autofocus, converging over frames as a Raspberry Pi's do.

They are told what the picture would show by the model itself, so that nothing need be rendered for them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

# libcamera's numbers
AF_MANUAL, AF_AUTO, AF_CONTINUOUS = 0, 1, 2
AF_IDLE, AF_SCANNING, AF_FOCUSED, AF_FAILED = 0, 1, 2, 3

_AE_TARGET = 0.18  # of full scale, before the tone curve
_AE_SPEED = 0.35
_AE_CLOSE = 0.03
_AWB_SPEED = 0.12
_SHARP_ENOUGH = 1.5  # times the least sharpness seen, for a scan to have found something


@dataclass
class AutoExposure:
    """Exposure and analogue gain such that the picture's mean meets the target; exposure first, then gain."""

    exposure_us: float = 10000.0
    gain: float = 1.0
    converged: bool = False

    def update(
        self, mean: float, ev: float, exposure_us: tuple[float, float], gains: tuple[float, float], fixed: tuple[bool, bool]
    ) -> None:
        """One frame further: `mean` is the share of full scale that this exposure and gain bring."""
        wanted = _AE_TARGET * 2.0**ev
        error = wanted / max(mean, 1e-6)
        self.converged = abs(error - 1) < _AE_CLOSE
        total = self.exposure_us * self.gain * error**_AE_SPEED
        if not fixed[0]:
            gain = self.gain if fixed[1] else gains[0]
            self.exposure_us = min(max(total / gain, exposure_us[0]), exposure_us[1])
        if not fixed[1]:
            self.gain = min(max(total / self.exposure_us, gains[0]), gains[1])
        limits = (fixed[0] or self.exposure_us >= exposure_us[1]) and (fixed[1] or self.gain >= gains[1])
        self.converged = self.converged or (limits and error > 1)


@dataclass
class AutoWhiteBalance:
    """Gains that creep towards those that make the scene grey."""

    gains: tuple[float, float] = (1.5, 1.5)

    def update(self, right: tuple[float, float]) -> None:
        """One frame further."""
        red, blue = (gain * (goal / gain) ** _AWB_SPEED for gain, goal in zip(self.gains, right, strict=True))
        self.gains = (red, blue)


class AutoFocus:
    """A lens that scans its range, then returns to the sharpest place. Positions are dioptres."""

    def __init__(self, lens_range: tuple[float, float], position: float) -> None:
        self.mode = AF_MANUAL
        self.state = AF_IDLE
        self.position = position
        self._range = lens_range
        self._step = (lens_range[1] - lens_range[0]) / 24
        self._seen: list[tuple[float, float]] = []
        self._settle = 0

    def trigger(self) -> None:
        """Begin a scan; its end shows in `state`."""
        self.state = AF_SCANNING
        self._seen = []
        self.position = self._range[0]
        self._settle = 2

    def cancel(self) -> None:
        """End a scan where it is."""
        self.state = AF_IDLE

    def update(self, sharpness: float) -> None:
        """One frame further: `sharpness` is that of the frame just taken."""
        if self.mode == AF_CONTINUOUS and self.state == AF_IDLE:
            self.trigger()
        if self.state != AF_SCANNING:
            return
        if self._settle:
            self._settle -= 1
            return
        self._seen.append((sharpness, self.position))
        following = self.position + self._step
        if following <= self._range[1] + 1e-9:
            self.position = following
            return
        best, least = max(self._seen), min(self._seen)
        found = best[0] > least[0] * _SHARP_ENOUGH
        self.position = self._vertex(best[1]) if found else self._range[0]
        self.state = AF_FOCUSED if found else AF_FAILED

    def _vertex(self, best: float) -> float:
        """Between the steps: the top of a parabola through the sharpest place and its neighbours."""
        index = next(n for n, (_, position) in enumerate(self._seen) if position == best)
        if not 0 < index < len(self._seen) - 1:
            return best
        left, middle, right = (math.log(self._seen[n][0]) for n in (index - 1, index, index + 1))
        bend = left - 2 * middle + right
        return best if bend >= 0 else best + self._step * (left - right) / (2 * bend)
