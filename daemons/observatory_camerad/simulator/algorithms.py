"""Auto exposure and white balance, converging over frames as a Raspberry Pi's do.

They are told what the picture would show by the model itself, so that nothing need be rendered for them.
"""

from __future__ import annotations

from dataclasses import dataclass

_AE_TARGET = 0.18  # of full scale, before the tone curve
_AE_SPEED = 0.35
_AE_CLOSE = 0.03
_AWB_SPEED = 0.12
_SHORT = 0.25  # of the longest exposure: beyond it, AeExposureMode Short prefers gain


@dataclass(frozen=True)
class ExposureWish:
    """What auto exposure may do: ExposureValue, limits (microseconds; gain), what is fixed, the flicker's period (0: none)."""

    ev: float
    exposure_us: tuple[float, float]
    gains: tuple[float, float]
    exposure_fixed: bool = False
    gain_fixed: bool = False
    short: bool = False
    flicker_us: int = 0


@dataclass
class AutoExposure:
    """Exposure and analogue gain such that the picture's mean meets the target; exposure first, then gain."""

    exposure_us: float = 10000.0
    gain: float = 1.0
    converged: bool = False

    def update(self, mean: float, wish: ExposureWish) -> None:
        """One frame further: `mean` is the share of full scale that this exposure and gain bring."""
        error = _AE_TARGET * 2.0**wish.ev / max(mean, 1e-6)
        self.converged = abs(error - 1) < _AE_CLOSE
        total = self.exposure_us * self.gain * error**_AE_SPEED
        shortest, longest = wish.exposure_us
        lowest, highest = wish.gains
        if not wish.exposure_fixed:
            gain = self.gain if wish.gain_fixed else lowest
            preferred = total / gain
            if wish.short and not wish.gain_fixed:
                preferred = max(min(preferred, longest * _SHORT), total / highest)
            self.exposure_us = min(max(preferred, shortest), longest)
            if wish.flicker_us and self.exposure_us > wish.flicker_us:
                self.exposure_us -= self.exposure_us % wish.flicker_us
        if not wish.gain_fixed:
            self.gain = min(max(total / self.exposure_us, lowest), highest)
        at_most = (wish.exposure_fixed or self.exposure_us >= longest) and (wish.gain_fixed or self.gain >= highest)
        at_least = (wish.exposure_fixed or self.exposure_us <= shortest) and (wish.gain_fixed or self.gain <= lowest)
        self.converged = self.converged or (at_most and error > 1) or (at_least and error < 1)


@dataclass
class AutoWhiteBalance:
    """Gains that creep towards those that make the scene grey."""

    gains: tuple[float, float] = (1.5, 1.5)

    def update(self, right: tuple[float, float]) -> None:
        """One frame further."""
        red, blue = (
            max(gain, 0.01) * (goal / max(gain, 0.01)) ** _AWB_SPEED for gain, goal in zip(self.gains, right, strict=True)
        )
        self.gains = (red, blue)
