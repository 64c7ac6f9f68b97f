"""Autofocus: a lens that scans its range in large steps, then the best place in small ones. Positions are dioptres.

It is told how sharp each frame is, so that nothing need be rendered for it.
"""

from __future__ import annotations

import math
from enum import IntEnum

# libcamera's numbers
AF_MANUAL, AF_AUTO, AF_CONTINUOUS = 0, 1, 2
AF_IDLE, AF_SCANNING, AF_FOCUSED, AF_FAILED = 0, 1, 2, 3


class AfPause(IntEnum):
    """Of continuous autofocus."""

    Immediate = 0
    Deferred = 1
    Resume = 2


_COARSE, _COARSE_FAST = 0.5, 1.0
_FINE = 0.125
_SETTLING_FRAMES = 2
_SHARP_ENOUGH = 1.5  # times the least sharpness seen, for a scan to have found something
_BLURRED = 0.8  # of the sharpness that was found: continuous autofocus looks again
_BLURRED_FRAMES = 10


class AutoFocus:
    """The lens and what moves it. `mode` and `state` are libcamera's AfMode and AfState."""

    def __init__(self, position: float) -> None:
        self.mode = AF_MANUAL
        self.state = AF_IDLE
        self.position = position
        self._coming: list[float] = []
        self._seen: list[tuple[float, float]] = []
        self._fine = False
        self._settle = 0
        self._paused = False
        self._pause_next = False
        self._reference = 0.0
        self._changed_for = 0

    def set_mode(self, mode: int) -> None:
        """AfMode; a scan under way ends where it is."""
        self.mode = mode
        self.state = AF_IDLE
        self._paused = self._pause_next = False

    def trigger(self, lens_range: tuple[float, float], fast: bool = False) -> None:
        """Begin a scan; its end shows in `state`."""
        low, high = lens_range
        steps = round((high - low) / (_COARSE_FAST if fast else _COARSE))
        self._fine = False
        self._begin([low + (high - low) * n / steps for n in range(steps + 1)])

    def cancel(self) -> None:
        """End a scan where it is."""
        self.state = AF_IDLE

    def pause(self, how: int) -> None:
        """AfPause, in continuous mode."""
        if self.mode != AF_CONTINUOUS:
            return
        if how == AfPause.Resume:
            self._paused = self._pause_next = False
        elif how == AfPause.Deferred and self.state == AF_SCANNING:
            self._pause_next = True
        else:
            self._paused = True
            if self.state == AF_SCANNING:
                self.state = AF_IDLE

    def update(self, sharpness: float, lens_range: tuple[float, float], fast: bool = False) -> None:
        """One frame further: `sharpness` is that of the frame just taken."""
        if self.mode == AF_CONTINUOUS and self.state != AF_SCANNING and not self._paused and self._must_look(sharpness):
            self.trigger(lens_range, fast)
            return
        if self.state != AF_SCANNING:
            return
        if self._settle:
            self._settle -= 1
            return
        self._seen.append((self.position, sharpness))
        if self._coming:
            self.position = self._coming.pop(0)
        elif self._fine:
            self._end(AF_FOCUSED, self._vertex())
        else:
            self._refine(lens_range)

    def _must_look(self, sharpness: float) -> bool:
        if self.state == AF_IDLE:
            return True
        if not self._reference:  # the first frame at the place that was found
            if self._settle:
                self._settle -= 1
            else:
                self._reference, self._changed_for = sharpness, 0
            return False
        ratio = sharpness / self._reference
        worse = ratio < _BLURRED or (self.state == AF_FAILED and ratio > 1 / _BLURRED)
        self._changed_for = self._changed_for + 1 if worse else 0
        return self._changed_for >= _BLURRED_FRAMES

    def _begin(self, positions: list[float]) -> None:
        self.state = AF_SCANNING
        self.position, *self._coming = positions
        self._seen = []
        self._settle = _SETTLING_FRAMES

    def _refine(self, lens_range: tuple[float, float]) -> None:
        best, sharpest = max(self._seen, key=lambda seen: seen[1])
        if sharpest <= min(sharpness for _, sharpness in self._seen) * _SHARP_ENOUGH:
            self._end(AF_FAILED, lens_range[0])
            return
        step = self._seen[1][0] - self._seen[0][0]
        low, high = max(best - step, lens_range[0]), min(best + step, lens_range[1])
        steps = round((high - low) / _FINE)
        self._fine = True
        self._begin([low + (high - low) * n / steps for n in range(steps + 1)])

    def _end(self, state: int, position: float) -> None:
        self.state, self.position = state, position
        self._reference, self._settle = 0.0, _SETTLING_FRAMES
        self._paused, self._pause_next = self._paused or self._pause_next, False

    def _vertex(self) -> float:
        """Between the steps: the top of a parabola through the sharpest place and its neighbours."""
        index = max(range(len(self._seen)), key=lambda n: self._seen[n][1])
        best = self._seen[index][0]
        if not 0 < index < len(self._seen) - 1:
            return best
        left, middle, right = (math.log(self._seen[n][1]) for n in (index - 1, index, index + 1))
        bend = left - 2 * middle + right
        step = self._seen[index + 1][0] - best
        return best if bend >= 0 else best + step * (left - right) / (2 * bend)
