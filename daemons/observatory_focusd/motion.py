"""Moves, stops and the truth about positions: what the serial worker does with its channels. Runs in its thread only."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from observatory_common import timestamps
from observatory_common.errors import (
    CommandFailed,
    DeviceLost,
    InvalidChannel,
    ObservatoryError,
    Stopped,
    TimedOut,
    Uncertain,
)
from observatory_common.events import EventRing
from observatory_common.jobs import JobTable
from observatory_focusd.axis import Axis, Move, MoveRequest
from observatory_focusd.controller import Controller, Sample
from observatory_focusd.journal import CONFIRMED, UNCERTAIN, Journal, OpenMove
from observatory_focusd.link import Overtaken, Silence
from observatory_focusd.stops import StopsOwed

log = logging.getLogger("focusd.motion")

_NO_MOTOR_DOES = "which no motor does"
_AFTER_SILENCE = "having left a query unanswered: it may have lost its power, after which it believes to be at its target"
_BY_ITSELF = "the daemon, since nobody is known to have asked for this motion"


class Motion:
    """The channels, their moves and their journal.

    `cancel_move` is what a job's cancel calls (from any thread): it must have the worker stop that channel. `changed` is
    called before a job's end is made known. `steps_per_s` is set with each connection.
    """

    def __init__(
        self,
        axes: Sequence[Axis],
        journal: Journal,
        jobs: JobTable,
        events: EventRing,
        move_timeout_s: float,
        cancel_move: Callable[[int], object],
        changed: Callable[[], None],
    ) -> None:
        self.axes = axes
        self.steps_per_s = 1.0
        self.stops_owed = StopsOwed(journal)
        self._journal = journal
        self._jobs = jobs
        self._events = events
        self._move_timeout_s = move_timeout_s
        self._cancel_move = cancel_move
        self._changed = changed
        for axis in axes:
            axis.position_steps = journal.entry(axis.number).position_steps

    def axis(self, channel: int) -> Axis:
        """The axis of a channel. Raises InvalidChannel."""
        if not 1 <= channel <= len(self.axes):
            allowed = " or ".join(str(axis.number) for axis in self.axes)
            raise InvalidChannel(f"channel is {channel}, expected {allowed}", value=channel, allowed=allowed)
        return self.axes[channel - 1]

    def repeat_stops(self, controller: Controller) -> None:
        """Stop what is owed. Raises TimedOut if the controller does not acknowledge it."""
        owed = self.stops_owed.items()
        self.stops_owed.done([n for n in owed if not self.axis(n).connected])  # of a channel that this controller lacks
        present = [n for n in owed if self.axis(n).connected]
        if present:
            self.stop(controller, present, " and ".join(sorted({owed[n] for n in present})))

    @property
    def moving(self) -> list[int]:
        """The channels whose motor runs."""
        return [axis.number for axis in self.axes if axis.moving]

    def next_reading_at(self, moving_delay_s: float) -> float | None:
        """When the next reading is due on account of a moving channel, on the monotonic clock; None if none moves."""
        due = [axis.next_reading_at(moving_delay_s, self.steps_per_s) for axis in self.axes]
        return min((at for at in due if at is not None), default=None)

    # connection gained and lost

    def resume(self, first: Sequence[Sample], second: Sequence[Sample], steps_per_s: float) -> None:
        """Judge every position from two readings after either side was away. Moves nothing."""
        self.steps_per_s = steps_per_s
        for axis, before, sample in zip(self.axes, first, second, strict=False):
            axis.move, axis.sample = None, before
            followed = not axis.jumped(sample, steps_per_s)
            axis.sample = sample
            entry = self._journal.entry(axis.number)
            at_rest = not before.moving and not sample.moving
            proven = entry.position_state == CONFIRMED and entry.move is None and sample.current_steps == entry.position_steps
            if proven and followed and at_rest:
                axis.position_state = CONFIRMED
            elif followed and entry.move and before.moving and sample.moving and sample.target_steps == entry.move.target_steps:
                # A controller that had lost its power would have set both numbers equal.
                axis.position_state = entry.position_state
                self._adopt(axis, entry.move)
                if entry.move.stop_by is not None:
                    self.stops_owed.add([axis.number], entry.move.stop_by)
            else:
                if sample.moving:
                    self.stops_owed.add([axis.number], _BY_ITSELF)
                self._doubt(axis, "it is not proven since the connection was lost or the daemon restarted")

    def lost(self, reason: str) -> None:
        """The connection has gone: running moves end as lost_device, nothing is read any more."""
        for axis in self.axes:
            if axis.move is not None:
                last = axis.sample.current_steps if axis.sample is not None else None
                error = DeviceLost(f"the device was lost at {_shown(last)} on the way to {axis.move.target_steps:+d}: {reason}")
                self._finish(axis, "lost_device", last, error)
            axis.sample, axis.slack_taken = None, False

    def announce(self, name: str, **data: Any) -> None:
        """Publish an event that concerns no single channel."""
        self._events.publish("focusd", name, data)

    # commands

    def start(self, controller: Controller, wanted: MoveRequest, interrupted: Callable[[], bool]) -> dict[str, Any]:
        """Start a move and return its job. Moves the motor, unless the request id was accepted before."""
        axis = self.axis(wanted.channel)
        if wanted.request_id is not None:
            if self._journal.accepted_before_restart(wanted.request_id):
                why = "was accepted before the daemon restarted and is not carried out again"
                raise Uncertain(f"request {wanted.request_id} {why}; channel {axis.number} is {axis.position_state}")
            if (known := self._jobs.with_request(wanted.request_id)) is not None:
                return known.to_wire()
        if self.stops_owed:  # an older one must not end this move later
            self.repeat_stops(controller)
        if controller.may_have_restarted:  # judge the other channel's move before this one hides the traces
            self.observe(controller, interrupted)
        if interrupted():  # by a stop that may have been seen to just now, as an older one: nothing is begun after it
            raise Overtaken
        sample = axis.reading
        axis.require_rest()
        if not axis.confirmed and not wanted.accept_uncertain:
            raise Uncertain(
                f"the position of channel {axis.number} is uncertain: prove it with `focus confirm {axis.number}` or"
                f" `focus zero {axis.number}`, or move all the same with --accept-uncertain"
            )
        target_steps = wanted.steps + (sample.target_steps if wanted.offset else 0)
        legs = axis.legs_to(target_steps, sample.current_steps)
        job = self._jobs.start("move", wanted.by, cancel=lambda: self._cancel_move(axis.number), request_id=wanted.request_id)
        axis.move = Move(job, target_steps, sample.current_steps, legs, sample.current_steps)
        if legs == [sample.current_steps]:
            self._finish(axis, "succeeded", target_steps)
            return job.to_wire()
        self._tell(axis, "move_started", target_steps=target_steps, started_by=wanted.by, job=job.id)
        try:
            self._begin_leg(controller, axis, wanted.request_id, interrupted)
        except Overtaken:
            # The stop follows at once. If it is another channel's, this one is stopped too: to ask if it moves takes too long.
            self.stops_owed.add([axis.number], _BY_ITSELF)
            axis.sample = replace(sample, target_steps=axis.move.leg_target_steps)
        return job.to_wire()

    def stop(self, controller: Controller, channels: Sequence[int], by: str) -> list[dict[str, Any]]:
        """Stop channels. Raises TimedOut if that is not acknowledged, DeviceLost if the port fails; it is then told again."""
        missing = [n for n in channels if not self.axis(n).connected]
        if missing:
            raise InvalidChannel(f"the controller has no channel {missing[0]}", value=missing[0])
        self.stops_owed.add(channels, by)
        try:
            samples = controller.stop(channels, self.stops_owed.note)
            self.stops_owed.done(channels)
        except (Silence, CommandFailed) as error:
            raise TimedOut(str(error)) from error
        finally:
            self.stops_owed.note()
        doubtful = controller.may_have_restarted
        return [self._stopped(self.axis(n), samples[n], by, doubtful) for n in channels]

    def zero(self, controller: Controller, channel: int) -> dict[str, Any]:
        """Make the present position of a channel at rest 0; it is confirmed from then on. Moves nothing."""
        axis = self.axis(channel)
        axis.require_rest()
        try:
            axis.sample = controller.zero(channel)
        except (Silence, CommandFailed) as error:
            self._doubt(axis, f"whether it was called zero is not known: {error}")
            raise
        self._confirm(axis, 0)
        return {"channel": channel, "position_steps": 0}

    def confirm(self, controller: Controller, channel: int) -> dict[str, Any]:
        """Take the controller's word for the position of a channel at rest. Moves nothing."""
        axis = self.axis(channel)
        self.observe(controller)
        axis.require_rest()
        position_steps = axis.reading.current_steps
        self._confirm(axis, position_steps)
        return {"channel": channel, "position_steps": position_steps}

    def observe(self, controller: Controller, interrupted: Callable[[], bool] = lambda: False) -> None:
        """Take one reading of every channel, a second one if the first is doubtful, and follow the moves."""
        samples = controller.read(interrupted)
        pairs = list(zip(self.axes, samples, strict=False))
        if any(axis.jumped(sample, self.steps_per_s) for axis, sample in pairs):
            pairs = list(zip(self.axes, controller.read(interrupted), strict=False))
        jumps = {axis.number: axis.sample for axis, sample in pairs if axis.jumped(sample, self.steps_per_s)}
        if any(sample.moving and axis.number not in jumps for axis, sample in pairs):
            controller.kept_its_power()
        for axis, sample in pairs:
            before, axis.sample = axis.sample, sample
            if axis.number in jumps and before is not None:
                self._jump(axis, before, sample, _NO_MOTOR_DOES)
            elif axis.move is not None and not sample.moving and controller.may_have_restarted:
                self._jump(axis, before or sample, sample, _AFTER_SILENCE)
            elif axis.move is not None:
                self._follow(controller, axis, sample)
        if not any(sample.moving for _, sample in pairs):
            controller.kept_its_power()  # what it may have lost has been judged; at rest its memory is right

    def _follow(self, controller: Controller, axis: Axis, sample: Sample) -> None:
        move = axis.move
        assert move is not None
        if axis.arrived(self.steps_per_s):
            move.legs.pop(0)
            if move.legs:
                self._next_leg(controller, axis, sample)
            elif sample.current_steps == move.target_steps:
                self._finish(axis, "succeeded", sample.current_steps)
            else:
                early = CommandFailed(
                    f"the move ended at {sample.current_steps:+d}, the overshoot on its way to {move.target_steps:+d}:"
                    " the connection was lost or the daemon restarted meanwhile"
                )
                self._finish(axis, "failed", sample.current_steps, early)
        elif time.monotonic() > move.deadline_at:
            self.stops_owed.add([axis.number], "the daemon")
            stopped = controller.stop([axis.number], self.stops_owed.note)[axis.number]
            self.stops_owed.done([axis.number])
            late = TimedOut(
                f"channel {axis.number} was stopped at {stopped.current_steps:+d} on the way to {move.target_steps:+d}:"
                f" it is more than move_timeout ({self._move_timeout_s:g} s) late"
            )
            self._stopped(axis, stopped, "the daemon", controller.may_have_restarted, outcome="timed_out", error=late)
        else:
            to_go = move.steps_to_go(sample.current_steps)
            move.job.progress(1 - to_go / move.path_steps, to_go / self.steps_per_s)

    def _next_leg(self, controller: Controller, axis: Axis, sample: Sample) -> None:
        move = axis.move
        assert move is not None
        axis.moved(move.leg_started_steps, sample.current_steps)
        move.leg_started_steps, move.settled_at = sample.current_steps, None
        try:
            self._begin_leg(controller, axis, move.job.request_id, lambda: False)
        except (CommandFailed, DeviceLost) as error:  # the job has ended with it; nobody waits for this call
            log.warning("channel %d: %s", axis.number, error)

    def _begin_leg(self, controller: Controller, axis: Axis, request_id: str | None, interrupted: Callable[[], bool]) -> None:
        move, sample = axis.move, axis.reading
        assert move is not None
        to_go_s = move.steps_to_go(sample.current_steps) / self.steps_per_s
        move.deadline_at = time.monotonic() + to_go_s + self._move_timeout_s
        try:
            route = (sample.current_steps, move.leg_target_steps, move.target_steps)
            entry = OpenMove(*route, timestamps.utc_now(), move.job.started_by, request_id)
            self._journal.open_move(axis.number, axis.position_state, entry)
        except OSError as error:
            failure = CommandFailed(f"channel {axis.number} was not moved: the journal cannot be written: {error}")
            self._finish(axis, "failed", sample.current_steps, failure)
            raise failure from error
        alone = not any(other.moving for other in self.axes if other is not axis)
        if alone:  # at rest a loss of power makes no difference; from here on it does
            controller.kept_its_power()
        try:
            asked_at = time.monotonic()
            shown = controller.set_target(axis.number, move.leg_target_steps, interrupted)
            axis.sample = replace(sample, target_steps=move.leg_target_steps, sent_at=asked_at)
            if axis.jumped(shown, self.steps_per_s):
                shown = controller.read(interrupted)[axis.number - 1]
            axis.sample = shown
            if alone and axis.sample.moving:
                controller.kept_its_power()
        except CommandFailed as error:
            self._finish(axis, "failed", sample.current_steps, error)
            raise
        except Silence as silence:
            lost = DeviceLost(
                f"no acknowledgement of the move of channel {axis.number} to {move.leg_target_steps:+d}: the motor may"
                f" be moving until it can be stopped, its position is uncertain ({silence})"
            )
            axis.position_state = UNCERTAIN
            self.stops_owed.promise([axis.number], _BY_ITSELF)
            self._finish(axis, "lost_device", None, lost)
            raise lost from silence
        move.job.progress(1 - move.steps_to_go(sample.current_steps) / move.path_steps, to_go_s)

    # outcomes

    def _stopped(
        self,
        axis: Axis,
        sample: Sample,
        by: str,
        may_have_restarted: bool,
        *,
        outcome: str = "stopped",
        error: ObservatoryError | None = None,
    ) -> dict[str, Any]:
        before, job = axis.sample, axis.move.job if axis.move is not None else None
        # A stop makes the target the position, so the reading is judged by the target that was in force.
        at_target = axis.move is not None and sample.current_steps == axis.move.leg_target_steps
        jumped = before is not None and axis.jumped(replace(sample, target_steps=before.target_steps), self.steps_per_s)
        if jumped or (at_target and may_have_restarted):
            axis.position_state = UNCERTAIN
        axis.sample = sample
        position_steps = sample.current_steps
        if axis.move is not None:
            error = error or Stopped(f"stopped by {by} at {position_steps:+d} on the way to {axis.move.target_steps:+d}")
            self._finish(axis, outcome, position_steps, error)
        else:
            self._rest(axis, position_steps)
        return {"channel": axis.number, "position_steps": position_steps, "job": job.id if job is not None else None}

    def _finish(self, axis: Axis, outcome: str, position_steps: int | None, error: ObservatoryError | None = None) -> None:
        move = axis.move
        assert move is not None
        axis.move = None
        axis.moved(move.leg_started_steps, position_steps)
        if outcome != "lost_device":
            self._rest(axis, position_steps)
        result = {"channel": axis.number, "position_steps": position_steps}
        result |= {"target_steps": move.target_steps, "started_steps": move.started_steps}
        self._tell(axis, "move_ended", outcome=outcome, position_steps=position_steps, job=move.job.id)
        self._changed()
        move.job.finish(outcome, result, error)

    def _rest(self, axis: Axis, position_steps: int | None) -> None:
        if axis.confirmed:
            axis.position_steps = position_steps
        try:
            self._journal.at_rest(axis.number, axis.position_state, axis.position_steps)
        except OSError as error:  # the open move on disk makes the position uncertain after a restart: safe
            log.error("channel %d: the journal cannot be written: %s", axis.number, error)

    def _confirm(self, axis: Axis, position_steps: int) -> None:
        try:
            self._journal.at_rest(axis.number, CONFIRMED, position_steps)
        except OSError as error:
            axis.position_state = UNCERTAIN
            why = f"channel {axis.number} stays uncertain: the journal cannot be written: {error}"
            raise CommandFailed(why) from error
        axis.position_state, axis.position_steps = CONFIRMED, position_steps
        self._tell(axis, "position_confirmed", position_steps=position_steps)

    def _doubt(self, axis: Axis, why: str) -> None:
        axis.position_state, axis.slack_taken = UNCERTAIN, False
        self._rest(axis, axis.sample.current_steps if axis.sample is not None else None)
        log.warning("the position of channel %d is uncertain: %s", axis.number, why)
        self._tell(axis, "position_uncertain", reason=why)

    def _jump(self, axis: Axis, before: Sample, sample: Sample, because: str) -> None:
        why = (
            f"the controller showed {before.current_steps:+d} (target {before.target_steps:+d}), then"
            f" {sample.current_steps:+d} (target {sample.target_steps:+d}), {because}"
        )
        axis.position_state = UNCERTAIN
        if axis.move is not None:
            self._finish(axis, "failed", sample.current_steps, Uncertain(f"channel {axis.number} is uncertain: {why}"))
        if sample.moving:
            self.stops_owed.add([axis.number], _BY_ITSELF)
        self._doubt(axis, why)

    def _adopt(self, axis: Axis, open_move: OpenMove) -> None:
        sample = axis.reading
        to_go_s = abs(sample.target_steps - sample.current_steps) / self.steps_per_s
        now = time.monotonic()
        job = self._jobs.start("move", open_move.started_by, cancel=lambda: self._cancel_move(axis.number))
        axis.move = Move(
            job,
            open_move.final_steps,
            open_move.from_steps,
            [open_move.target_steps],
            open_move.from_steps,
            deadline_at=now + to_go_s + self._move_timeout_s,
        )
        job.progress(0.0, to_go_s)
        log.info("channel %d runs on to %+d, as the journal has it", axis.number, open_move.target_steps)
        self._tell(axis, "move_adopted", target_steps=open_move.target_steps, job=job.id)

    def _tell(self, axis: Axis, name: str, **data: Any) -> None:
        self._events.publish("focusd", name, {"channel": axis.number, **data})


def _shown(steps: int | None) -> str:
    return "an unknown position" if steps is None else f"{steps:+d}"
