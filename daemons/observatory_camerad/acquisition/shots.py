"""What is asked of the camera's thread: frames to be taken, controls to be changed, other configurations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from observatory_camerad.acquisition.frames import Frame
from observatory_camerad.acquisition.use_cases import UseCase
from observatory_camerad.drivers.base import Configuration
from observatory_common.errors import ObservatoryError


@dataclass(eq=False)
class Shot:
    """A frame that somebody waits for: `taken` or `lost` is called once, in the camera's thread, and must be quick.

    `at_ns` (since 1970) is when its exposure should start: of all frames the one that starts nearest
    to it. Without use cases any frame will do.
    """

    cases: tuple[UseCase, ...]
    taken: Callable[[Frame], None]
    lost: Callable[[ObservatoryError], None]
    at_ns: int | None = None
    cancelled: bool = False
    #: The number of the last change of controls that it must wait for.
    after_change: int = 0

    @property
    def controls(self) -> dict[str, Any]:
        """What its use cases ask for."""
        return {name: value for case in self.cases for name, value in case.controls.items()}

    def due(self, frame: Frame) -> bool:
        """Whether this is its frame."""
        return self.at_ns is None or frame.exposure.start_ns >= self.at_ns - frame.duration_s * 5e8


@dataclass(eq=False)
class Change:
    """Controls to be set; `done` has the first frame in which they are in effect."""

    values: Mapping[str, Any]
    number: int
    done: Future[Frame] = field(default_factory=Future)


@dataclass(eq=False)
class Reconfiguration:
    """A configuration to be run from now on; while it is held, no shot may change it. `done` has it as the camera took it."""

    wanted: Configuration
    held: bool
    done: Future[Configuration] = field(default_factory=Future)
