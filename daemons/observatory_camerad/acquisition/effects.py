"""When a changed control is in effect: as soon as the frames' metadata say so, or can be relied upon to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_GIVEN_UP_AFTER_FRAMES = 12  # beyond the camera's own delay: it has been cut, or another control forbids it
_SEARCHING = 1  # libcamera's AeState; older ones have AeLocked instead
_FIXED = ("ExposureTime", "AnalogueGain")
_TOLERANCE = {
    "ExposureTime": (100.0, 0.005),
    "AnalogueGain": (0.0, 0.02),
    "ColourGains": (0.0, 0.02),
    "LensPosition": (0.05, 0.0),
}


class Effect:
    """Watches frame after frame for the change of some controls.

    `met` is whether they came into effect, once `seen` is true: else the camera has not done it, or something else was
    asked for since.
    """

    def __init__(self, values: Mapping[str, Any], before: Mapping[str, Any], delay_frames: int) -> None:
        self.met = False
        self._values = dict(values)
        self._delay_frames = delay_frames
        self._frames = 0
        # A value that was there before the change proves nothing: then only the camera's own delay does.
        self._proving = [name for name in values if name in before and not _agree(name, values[name], before[name])]
        self._proving = [name for name in self._proving if not _is_automatic(name, values)]
        self._superseded = False

    def supersede(self, names: Iterable[str]) -> bool:
        """Something else was asked for these; whether that concerns this change."""
        taken = [name for name in names if self._values.pop(name, None) is not None]
        self._proving = [name for name in self._proving if name in self._values]
        self._superseded = self._superseded or bool(taken)
        return bool(taken)

    def seen(self, metadata: Mapping[str, Any]) -> bool:
        """One frame further: whether all is in effect as of this frame, or will not be."""
        self._frames += 1
        if not self._values or self._frames > self._delay_frames + _GIVEN_UP_AFTER_FRAMES:
            return True
        if self._proving:
            # All were sent together, and those that a frame can prove, the sensor's, are the last to come.
            done = all(_agree(name, self._values[name], metadata.get(name)) for name in self._proving)
        else:
            done = self._frames > self._delay_frames
        self.met = done and not self._superseded
        return done


def in_effect(values: Mapping[str, Any], metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What a frame's metadata say of the controls that were changed; None where they say nothing."""
    return {name: metadata.get(name) for name in values}


class Settling:
    """Waits after a start for the controls that were set and for auto exposure, for so many frames at most."""

    def __init__(self, controls: Mapping[str, Any], delay_frames: int, most_frames: int = 60) -> None:
        self._fixed = {name: controls[name] for name in _FIXED if controls.get(name)}
        self._delay_frames = delay_frames
        self._most_frames = most_frames
        self._frames = 0

    def over(self, metadata: Mapping[str, Any]) -> bool:
        """One frame further: whether exposure and white balance can be relied upon."""
        self._frames += 1
        if self._frames >= self._most_frames:
            return True
        if self._fixed:  # what can be read need not be waited for: frames may be minutes long
            return all(_agree(name, value, metadata.get(name)) for name, value in self._fixed.items())
        locked = metadata.get("AeState") != _SEARCHING and metadata.get("AeLocked") is not False
        return locked and self._frames > self._delay_frames


class FrameLength:
    """How long the frame under way may take: as long as the longest that was asked for lately."""

    def __init__(self, delay_frames: int) -> None:
        self.bound_s = 0.0
        self._delay_frames = delay_frames
        self._asked_s = 0.0
        self._frames = 0

    def ask(self, controls: Mapping[str, Any]) -> None:
        """These are what the camera has been told."""
        shortest = (controls.get("FrameDurationLimits") or (0, 0))[0]
        asked_s = max((controls.get("ExposureTime") or 0) / 1e6, shortest / 1e6)
        if asked_s != self._asked_s:
            self._asked_s, self._frames = asked_s, 0
            self.bound_s = max(self.bound_s, asked_s)

    @property
    def is_much_longer(self) -> bool:
        """Whether the frame under way is long, and far longer than what is wanted now."""
        return self.bound_s > 2.0 and self._asked_s < self.bound_s / 2

    def frame(self) -> None:
        """A frame has come."""
        self._frames += 1
        if self._frames > self._delay_frames + 1:
            self.bound_s = self._asked_s

    def restart(self) -> None:
        """The frame under way was given up."""
        self.bound_s = self._asked_s


def _is_automatic(name: str, values: Mapping[str, Any]) -> bool:
    """Whether the value hands the control back to the camera's own algorithm, so that it will not be met."""
    return name in ("ExposureTime", "AnalogueGain") and not values[name]


def _agree(name: str, wanted: Any, found: Any) -> bool:
    """Whether a reading is the wanted value after the sensor's rounding."""
    if found is None:
        return False
    if isinstance(wanted, (tuple, list)):
        same_length = isinstance(found, (tuple, list)) and len(found) == len(wanted)
        return same_length and all(_agree(name, one, other) for one, other in zip(wanted, found, strict=True))
    absolute, relative = _TOLERANCE.get(name, (2.0 if name == "ScalerCrop" else 1e-6, 1e-3))
    return bool(abs(float(found) - float(wanted)) <= max(absolute, relative * abs(float(wanted))))
