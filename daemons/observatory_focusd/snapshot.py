"""What the serial worker knows, frozen at one instant and replaced as a whole, so that readers need no lock."""

from __future__ import annotations

from dataclasses import dataclass, field

from observatory_focusd.axis import Axis
from observatory_focusd.journal import CONFIRMED, UNCERTAIN


@dataclass(frozen=True)
class AxisView:
    """One channel. Unknown readings are None; the position is `uncertain` also while nothing can be read."""

    number: int
    limits: tuple[int, int]
    current_steps: int | None
    target_steps: int | None
    last_confirmed_steps: int | None
    position_state: str
    moving: bool | None
    job: str | None
    expected_end: str | None

    @classmethod
    def of(cls, axis: Axis, is_connected: bool) -> AxisView:
        """The view of a channel as it is now."""
        sample = axis.sample if is_connected else None
        job = axis.move.job.to_wire() if axis.move is not None else None
        return cls(
            number=axis.number,
            limits=axis.limits,
            current_steps=sample.current_steps if sample is not None else None,
            target_steps=sample.target_steps if sample is not None else None,
            last_confirmed_steps=axis.position_steps,
            position_state=CONFIRMED if sample is not None and axis.confirmed else UNCERTAIN,
            moving=axis.moving if sample is not None else None,
            job=job["id"] if job is not None else None,
            expected_end=job["expected_end"] if job is not None else None,
        )


@dataclass(frozen=True)
class Snapshot:
    """The controller and its channels. `read_at` is on the monotonic clock."""

    state: str = "connecting"
    last_error: str | None = None
    firmware: str | None = None
    steps_per_s: float | None = None
    read_at: float | None = None
    reading_date: str | None = None
    fans_enabled: bool | None = None
    temperatures_c: dict[str, float | None] = field(default_factory=dict)
    axes: tuple[AxisView, ...] = ()

    @property
    def connected(self) -> bool:
        """Whether there is a controller that answers."""
        return self.state in ("idle", "moving")
