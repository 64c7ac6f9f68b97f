"""What is asked of the camera's thread: frames to be taken, controls to be changed, other configurations."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from observatory_camerad.acquisition.frames import Frame
from observatory_camerad.acquisition.timing import Clocks
from observatory_camerad.acquisition.use_cases import UseCase
from observatory_camerad.drivers.base import Configuration
from observatory_common.errors import ObservatoryError

_WITHIN_S = 20.0  # and so many frames
_WITHIN_FRAMES = 40


@dataclass(eq=False)
class Shot:
    """A frame that somebody waits for: `taken` or `lost` is called once, in the camera's thread, and must be quick.

    `at_ns` (since 1970) is when its exposure should start: of all frames the one that starts nearest to it; `at_boot_ns`
    is the same by the clock since the boot, for who keeps an interval whatever the time is set to. Without use cases any
    frame will do. While `has_room` is false it waits.
    """

    cases: tuple[UseCase, ...]
    taken: Callable[[Frame], None]
    lost: Callable[[ObservatoryError], None]
    at_ns: int | None = None
    has_room: Callable[[], bool] = field(default=lambda: True)
    #: The number of the last change of controls that it must wait for.
    after_change: int = 0
    at_boot_ns: int | None = None

    def __post_init__(self) -> None:
        self.controls: dict[str, Any] = {name: value for case in self.cases for name, value in case.controls.items()}
        self._since = time.monotonic()

    @property
    def ahead_ns(self) -> int:
        """For how long its time is still to come; 0 for one at any time."""
        now = Clocks.now()
        return max(self._after(now.wall_ns, now.boot_ns) or 0, 0)

    def _after(self, wall_ns: int, boot_ns: int) -> int | None:
        """How long its time is after a moment by both clocks; None for one at any time."""
        if self.at_boot_ns is not None:
            return self.at_boot_ns - boot_ns
        return None if self.at_ns is None else self.at_ns - wall_ns

    def _after_frame(self, frame: Frame) -> int | None:
        return self._after(frame.exposure.start_ns, frame.exposure.start_boot_ns)

    def due(self, frame: Frame) -> bool:
        """Whether this is its frame."""
        after_ns = self._after_frame(frame)
        return after_ns is None or after_ns <= frame.duration_s * 5e8

    def is_late(self, frame: Frame) -> bool:
        """Whether its time is over by more than a frame."""
        after_ns = self._after_frame(frame)
        return after_ns is not None and -after_ns > frame.duration_s * 1.5e9 + 1e8

    def has_expired(self, frame_s: float) -> bool:
        """Whether it has waited longer than any camera takes."""
        if self.ahead_ns > 0:
            self._since = time.monotonic()
        return time.monotonic() - self._since > _WITHIN_S + _WITHIN_FRAMES * frame_s


@dataclass(eq=False)
class Change:
    """Controls to be set; `done` has the frame as of which they are in effect (`met`), or are known not to be."""

    values: Mapping[str, Any]
    number: int
    met: bool = False
    done: Future[Frame] = field(default_factory=Future)


@dataclass(eq=False)
class Reconfiguration:
    """A configuration to be run from now on; while it is held, no shot may change it. `done` has it as the camera took it."""

    wanted: Configuration
    held: bool
    done: Future[Configuration] = field(default_factory=Future)
