"""Blinking, beeping and fading: what an output is set to, and for how long."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from observatory_gpiod.devices.task import Task

FADES_PER_S = 25  # gpiozero's own
Level = tuple[float, ...]


@dataclass(frozen=True)
class Beat:
    """One setting of the output; `told` if it is an event, which the steps of a fade are not, but for the first light."""

    level: Level
    seconds: float
    told: bool = True


@dataclass(frozen=True)
class Cycle:
    """One cycle, as gpiozero does it: fade in, on, fade out, off. Times are seconds."""

    on: Level
    off: Level
    on_time: float
    off_time: float
    fade_in_time: float = 0.0
    fade_out_time: float = 0.0

    @property
    def seconds(self) -> float:
        """How long it takes, in seconds."""
        fades = _steps(self.fade_in_time) + _steps(self.fade_out_time)
        return self.on_time + self.off_time + fades / FADES_PER_S

    def beats(self) -> Iterator[Beat]:
        """Its beats, each made when its turn comes: a fade may take a day."""
        yield from _fade(self.off, self.on, self.fade_in_time)
        yield Beat(self.on, self.on_time)
        yield from _fade(self.on, self.off, self.fade_out_time)
        yield Beat(self.off, self.off_time)


def play(task: Task, cycle: Cycle, times: int | None, set_level: Callable[[Level, bool], None]) -> dict[str, Any]:
    """Repeat a cycle so many times, or until the task is stopped. Times do not add up errors."""
    done = 0
    deadline_s = time.monotonic()
    while times is None or done < times:
        for beat in cycle.beats():
            if task.stopping:
                return {"times": done}
            set_level(beat.level, beat.told)
            deadline_s = max(deadline_s + beat.seconds, time.monotonic())  # never hurries after a standstill
            if task.wait_until(deadline_s):
                return {"times": done}
        done += 1
        if times is not None:
            task.progress = done / times
    return {"times": done}


def _steps(seconds: float) -> int:
    return int(FADES_PER_S * seconds)


def _fade(start: Level, end: Level, seconds: float) -> Iterator[Beat]:
    lit = False
    for i in range(_steps(seconds)):
        level = tuple(a + (b - a) * i / (FADES_PER_S * seconds) for a, b in zip(start, end, strict=True))
        first = any(level) and not lit
        yield Beat(level, 1 / FADES_PER_S, told=first)
        lit = lit or first
