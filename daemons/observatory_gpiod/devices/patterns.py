"""Blinking, beeping and fading: what an output is set to, and for how long."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from observatory_gpiod.devices.task import Task

FADES_PER_S = 25  # gpiozero's own
Level = tuple[float, ...]


@dataclass(frozen=True)
class Beat:
    """One setting of the output; `told` if it is an event, which the steps of a fade are not."""

    level: Level
    seconds: float
    told: bool = True


def beats(
    on: Level, off: Level, on_time: float, off_time: float, fade_in_time: float = 0.0, fade_out_time: float = 0.0
) -> list[Beat]:
    """One cycle, as gpiozero does it: fade in, on, fade out, off. Times are seconds."""
    return [
        *_fade(off, on, fade_in_time),
        Beat(on, on_time),
        *_fade(on, off, fade_out_time),
        Beat(off, off_time),
    ]


def cycle_s(cycle: Sequence[Beat]) -> float:
    """How long a cycle takes."""
    return sum(beat.seconds for beat in cycle)


def play(task: Task, cycle: Sequence[Beat], times: int | None, set_level: Callable[[Level, bool], None]) -> dict[str, Any]:
    """Repeat a cycle so many times, or until the task is stopped. Times do not add up errors."""
    done = 0
    deadline_s = time.monotonic()
    while times is None or done < times:
        for beat in cycle:
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


def _fade(start: Level, end: Level, seconds: float) -> list[Beat]:
    count = int(FADES_PER_S * seconds)
    return [
        Beat(
            tuple(a + (b - a) * i / (FADES_PER_S * seconds) for a, b in zip(start, end, strict=True)),
            1 / FADES_PER_S,
            told=False,
        )
        for i in range(count)
    ]
