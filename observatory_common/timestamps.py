"""Times as the wire carries them: ISO 8601 in UTC with microseconds, `2026-01-02T03:04:05.678901Z`."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

_READINGS = 3


def utc_now(ahead_s: float = 0.0) -> str:
    """The time `ahead_s` seconds from now, as the wire carries it."""
    return to_wire(datetime.now(UTC) + timedelta(seconds=ahead_s))


def to_wire(moment: datetime) -> str:
    """An aware datetime as the wire carries it. Raises ValueError for a naive one."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone")
    return moment.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def from_wire(text: str) -> datetime:
    """The aware datetime that `to_wire` wrote. Raises ValueError for anything else."""
    moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    if to_wire(moment) != text:
        raise ValueError(f"{text!r} is no time as the wire carries it")
    return moment


def at_one_instant(clock_ns: Callable[[], int], *others_ns: Callable[[], int]) -> tuple[int, ...]:
    """What several clocks say at one instant, in nanoseconds: the first, then the others.

    A thread may be held up between two readings, so it is the best of a few, by the first clock.
    """
    return min((_read(clock_ns, others_ns) for _ in range(_READINGS)), key=lambda read: read[0])[1]


def boot_and_wall_ns() -> tuple[int, int]:
    """The clock since the boot (CLOCK_BOOTTIME) and UTC since 1970 at one instant, in nanoseconds."""
    boot_ns, wall_ns = at_one_instant(lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME), time.time_ns)
    return boot_ns, wall_ns


def _read(clock_ns: Callable[[], int], others_ns: tuple[Callable[[], int], ...]) -> tuple[int, tuple[int, ...]]:
    before = clock_ns()
    others = [other_ns() for other_ns in others_ns]
    width_ns = clock_ns() - before
    return width_ns, (before + width_ns // 2, *others)
