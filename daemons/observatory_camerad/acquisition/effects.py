"""When a changed control is in effect: as soon as the frames' metadata say so, or can be relied upon to."""

from __future__ import annotations

from collections.abc import Mapping
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
    """Watches frame after frame for the change of some controls."""

    def __init__(self, values: Mapping[str, Any], before: Mapping[str, Any], delay_frames: int) -> None:
        self._values = values
        self._delay_frames = delay_frames
        self._frames = 0
        # A value that was there before the change proves nothing: then only the camera's own delay does.
        self._proving = [name for name in values if name in before and not _agree(name, values[name], before[name])]
        self._proving = [name for name in self._proving if not _is_automatic(name, values)]

    def seen(self, metadata: Mapping[str, Any]) -> bool:
        """One frame further: whether all is in effect as of this frame."""
        self._frames += 1
        if self._frames > self._delay_frames + _GIVEN_UP_AFTER_FRAMES:
            return True
        if not self._proving:
            return self._frames > self._delay_frames
        # All were sent together, and those that a frame can prove, the sensor's, are the last to come.
        return all(_agree(name, self._values[name], metadata.get(name)) for name in self._proving)


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
