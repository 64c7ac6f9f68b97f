"""The clocks a simulated camera lives by; tests bring their own, which step or run ahead."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clocks(Protocol):
    """Three clocks in nanoseconds, and a wait that goes by the monotonic one."""

    def monotonic_ns(self) -> int:
        """Paces the frames; never steps."""

    def boot_ns(self) -> int:
        """Since the boot; stamps the frames, as the kernel does."""

    def wall_ns(self) -> int:
        """Since 1970; may be set at any moment."""

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Wait for an event at most so many seconds; whether it came."""


class SystemClocks:
    """This machine's."""

    def monotonic_ns(self) -> int:
        """CLOCK_MONOTONIC."""
        return time.monotonic_ns()

    def boot_ns(self) -> int:
        """CLOCK_BOOTTIME."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def wall_ns(self) -> int:
        """The system's UTC."""
        return time.time_ns()

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """As threading.Event.wait."""
        return event.wait(timeout_s)


class LeapingClocks:
    """Clocks that stand still but for waits, and go to the end of each at once: minutes of frames within a second.

    `wall_step_ns` may be changed at any moment, as when somebody sets the system's clock.
    """

    def __init__(self, wall_ns: int = 1_800_000_000_000_000_000, boot_ns: int = 5_000_000_000_000) -> None:
        self.passed_ns = 0
        self.wall_step_ns = 0
        self._wall_ns = wall_ns
        self._boot_ns = boot_ns

    def monotonic_ns(self) -> int:
        """From 0."""
        return self.passed_ns

    def boot_ns(self) -> int:
        """From what it was made with."""
        return self._boot_ns + self.passed_ns

    def wall_ns(self) -> int:
        """From what it was made with, and the steps."""
        return self._wall_ns + self.passed_ns + self.wall_step_ns

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Let the time pass, unless the event has come."""
        if not event.is_set():
            self.passed_ns += max(round(timeout_s * 1e9), 0)
        return event.is_set()
