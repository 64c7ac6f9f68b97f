"""One channel: what is known of it, and the judgement of each new reading. No I/O."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field

from observatory_common.errors import Blocked, InvalidChannel, PositionOutsideLimits
from observatory_common.jobs import Job
from observatory_focusd.controller import Sample
from observatory_focusd.journal import CONFIRMED, UNCERTAIN

#: A reading may be this much ahead of the motor's speed, by the times between which it was taken, before it is doubted.
_SLACK_S, _SLACK = 0.02, 1.02
#: How long after the predicted arrival the next reading is taken, and how close two readings may follow.
_AFTER_ARRIVAL_S = 0.005
_SHORTEST_PAUSE_S = 0.01


@dataclass(frozen=True)
class MoveRequest:
    """A move somebody asked for; `steps` counts from the present target when `offset` is true."""

    channel: int
    steps: int
    offset: bool
    by: str
    request_id: str | None
    accept_uncertain: bool


@dataclass
class Move:
    """A move under way. With backlash it has two legs: an overshoot, then the approach from the configured side."""

    job: Job
    target_steps: int
    started_steps: int
    legs: list[int]
    leg_started_steps: int
    deadline_at: float = 0.0
    settled_at: float | None = None
    path_steps: int = field(init=False)

    def __post_init__(self) -> None:
        self.path_steps = self.steps_to_go(self.leg_started_steps)

    @property
    def leg_target_steps(self) -> int:
        """What the controller has been told."""
        return self.legs[0]

    @property
    def downward(self) -> bool:
        """Whether the present leg goes to smaller positions."""
        return self.leg_target_steps < self.leg_started_steps

    def steps_to_go(self, current_steps: int) -> int:
        """The path still ahead, all legs, in steps."""
        path = [current_steps, *self.legs]
        return sum(abs(b - a) for a, b in itertools.pairwise(path))


class Axis:
    """A channel of the controller, across connections.

    `position_steps` is the last position that was proven at rest; `sample` the latest reading, None while not connected.
    """

    def __init__(self, number: int, limits: tuple[int, int], backlash_steps: int) -> None:
        self.number = number
        self.limits = limits
        self.backlash_steps = backlash_steps
        self.position_state = UNCERTAIN
        self.position_steps: int | None = None
        self.sample: Sample | None = None
        self.move: Move | None = None
        #: Whether the last motion has taken the backlash up on the configured side; not known after a start.
        self.slack_taken = False

    @property
    def confirmed(self) -> bool:
        """Whether the position is proven."""
        return self.position_state == CONFIRMED

    @property
    def connected(self) -> bool:
        """Whether the controller is there and has this channel."""
        return self.sample is not None

    @property
    def reading(self) -> Sample:
        """The latest reading. Raises InvalidChannel where the controller has no such channel."""
        if self.sample is None:
            raise InvalidChannel(f"the controller has no channel {self.number}", value=self.number)
        return self.sample

    def require_rest(self) -> None:
        """Raise Blocked if the motor runs, naming who moves it and until when; InvalidChannel where there is none."""
        if self.move is not None:
            job = self.move.job.to_wire()
            raise Blocked(
                f"channel {self.number} is moving to {self.move.target_steps:+d} for {job['started_by']},"
                f" expected to end at {job['expected_end']}"
            )
        if self.reading.moving:
            raise Blocked(f"channel {self.number} is moving, though nobody here asked for it; stop it first")

    @property
    def moving(self) -> bool:
        """Whether the motor runs, on our account or not."""
        return self.move is not None or (self.sample is not None and self.sample.moving)

    def legs_to(self, target_steps: int, start_steps: int) -> list[int]:
        """The positions to go to one after the other. Raises PositionOutsideLimits, also for the overshoot.

        Positive backlash: the final approach is upward, so a downward move goes that much too far first, as does a short
        upward one after a motion that ended downward; negative: the other way round. Where there is no room for the
        latter, it goes straight.
        """
        low, high = self.limits
        allowed = f"{low:+d} to {high:+d} steps"
        if not low <= target_steps <= high:
            raise PositionOutsideLimits(
                f"position {target_steps:+d} of channel {self.number} is outside its limits {allowed}",
                value=target_steps,
                allowed=allowed,
            )
        way = target_steps - start_steps
        against = way * self.backlash_steps < 0
        takes_slack = not against and abs(way) >= abs(self.backlash_steps)
        if takes_slack or (self.slack_taken and not against):
            return [target_steps]
        overshoot = target_steps - self.backlash_steps
        if not low <= overshoot <= high:
            if not against:
                return [target_steps]
            raise PositionOutsideLimits(
                f"position {target_steps:+d} of channel {self.number} is reached by way of {overshoot:+d} (backlash),"
                f" which is outside its limits {allowed}",
                value=target_steps,
                allowed=allowed,
            )
        return [overshoot, target_steps]

    def moved(self, start_steps: int, end_steps: int | None) -> None:
        """Note what a motion did to the backlash; an unknown end leaves it open."""
        gone = 0 if end_steps is None else (end_steps - start_steps) * (1 if self.backlash_steps > 0 else -1)
        if end_steps is None or gone < 0:
            self.slack_taken = False
        elif gone >= abs(self.backlash_steps):
            self.slack_taken = True

    def jumped(self, sample: Sample, steps_per_s: float) -> bool:
        """Whether a reading cannot follow from the one before it: torn, garbled, or the controller has lost power."""
        before = self.sample
        if before is None:
            return False
        if sample.target_steps != before.target_steps:
            return True
        way = before.target_steps - before.current_steps
        gone = sample.current_steps - before.current_steps
        longest = _SLACK * steps_per_s * (sample.received_at - before.sent_at + _SLACK_S) + 2
        if way < 0:
            way, gone = -way, -gone
        return not 0 <= gone <= min(way, longest)

    def next_reading_at(self, moving_delay_s: float, steps_per_s: float) -> float | None:
        """When the next reading of a moving channel is worth taking: at its predicted arrival, else after the delay.

        None for a channel at rest. On the monotonic clock.
        """
        sample = self.sample
        if sample is None or not self.moving:
            return None
        if self.move is not None and self.move.settled_at is not None:
            return self.move.settled_at
        to_go_s = abs(sample.target_steps - sample.current_steps) / steps_per_s
        pause_s = min(moving_delay_s, max(to_go_s + _AFTER_ARRIVAL_S, _SHORTEST_PAUSE_S))
        return sample.received_at + pause_s

    def arrived(self, steps_per_s: float) -> bool:
        """Whether the leg under way has ended where it should.

        The firmware rounds down, so a downward leg shows its target up to one step early: it is believed one step's
        time after it first shows.
        """
        sample, move = self.sample, self.move
        if sample is None or move is None or sample.current_steps != move.leg_target_steps:
            return False
        if not move.downward:
            return True
        if move.settled_at is None:
            move.settled_at = sample.received_at + 1 / steps_per_s + _AFTER_ARRIVAL_S
        return time.monotonic() >= move.settled_at
