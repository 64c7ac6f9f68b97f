"""One opening of the camera: frames come, changes go, shots are served. All of it in the camera's thread."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from observatory_camerad.acquisition.effects import Effect, FrameLength, Settling
from observatory_camerad.acquisition.frames import Frame
from observatory_camerad.acquisition.inbox import Inbox
from observatory_camerad.acquisition.shots import Change, Reconfiguration, Shot
from observatory_camerad.acquisition.use_cases import Transform, satisfied, standing
from observatory_camerad.controls import fitting, long_enough, settled_values
from observatory_camerad.drivers.base import CameraDriver, Capabilities, Configuration, Request
from observatory_camerad.settings import Settings
from observatory_common.errors import Blocked, CommandFailed, DeviceLost, ObservatoryError, TimedOut

log = logging.getLogger("camerad.session")

STALLED_AFTER_S = 2.0  # and two frame durations
_PREPARE_BEFORE_NS = 2_000_000_000


class Session:
    """The camera between an open and the close or failure that ends it."""

    def __init__(
        self,
        driver: CameraDriver,
        inbox: Inbox,
        settings: Settings,
        transform: Transform,
        consumers: Iterable[Callable[[Frame], None]],
        first_number: int,
    ) -> None:
        self.frame_s = 0.1
        self.frames = first_number
        self.metadata: Mapping[str, Any] = {}
        self.gap_s: float | None = None
        self.refused: dict[str, str] = {}  # controls that are set and do not fit this camera, and why
        self._driver = driver
        self._inbox = inbox
        self._settings = settings
        self._transform = transform
        self._consumers = tuple(consumers)
        self._broken: set[Callable[[Frame], None]] = set()
        self._changes: list[tuple[Change, Effect]] = []
        self._taken: deque[Change | Reconfiguration] = deque()  # out of the inbox, and not done
        self._postponed: deque[Change] = deque()
        self._special: Shot | None = None  # the one for which configuration or controls are not the standing ones
        self._special_change: Change | None = None
        self._held = False
        self._settling: Settling | None = None
        self._last_at = time.monotonic()
        self._gap_from: float | None = None
        self.capabilities: Capabilities = driver.open()
        self._length = FrameLength(self.capabilities.control_delay_frames)
        self._sent: dict[str, Any] = {}

    def configure(self, wanted: Configuration, held: bool) -> None:
        """Begin in a configuration. Raises CommandFailed."""
        self._standing, self._held = wanted, held
        self._configure(wanted)

    @property
    def configuration(self) -> Configuration:
        """As the camera has it."""
        return self._actual

    @property
    def wanted(self) -> Configuration:
        """As it was asked for."""
        return self._wanted

    @property
    def held(self) -> bool:
        """Whether no shot may have another configuration."""
        return self._held

    def longest_frame_s(self) -> float:
        """How long the frame under way may take."""
        return max(self.frame_s, self._length.bound_s)

    def step(self, timeout_s: float) -> Frame | None:
        """Do what is asked, wait up to `timeout_s` seconds for a frame, hand it on. Raises DeviceLost for a stall."""
        self._obey()
        self._give_up_on_old_shots()
        self._prepare()
        request = self._driver.next_request(timeout_s)
        now = time.monotonic()
        if request is None:
            if now - self._last_at > STALLED_AFTER_S + 2 * self.longest_frame_s():
                raise DeviceLost(f"no frame for {now - self._last_at:.1f} s")
            return None
        try:
            return self._hand_on(request, now)
        finally:
            request.release()

    def end(self, error: ObservatoryError, all_shots: bool) -> None:
        """Tell everybody who waits that the camera has gone; `all_shots`: also those for a later time."""
        for order in [*(change for change, _ in self._changes), *self._postponed, *self._taken]:
            if not order.done.done():  # one may have failed half way
                order.done.set_exception(error)
        self._inbox.fail(error, all_shots)

    # frames

    def _hand_on(self, request: Request, now: float) -> Frame:
        self.frames += 1
        frame = Frame(request, self._actual, self.frames)
        self.metadata, self.frame_s, self._last_at = frame.metadata, frame.duration_s, now
        self._length.frame()
        if self._gap_from is not None and self._wanted == self._standing:
            self.gap_s, self._gap_from = now - self._gap_from, None
        if self._settling is not None and self._settling.over(frame.metadata):
            self._settling = None
        for change, effect in list(self._changes):
            if effect.seen(frame.metadata):
                self._changes.remove((change, effect))
                change.met = effect.met
                change.done.set_result(frame)
        self._serve(frame)
        for consumer in self._consumers:
            self._offer(consumer, frame)
        return frame

    def _offer(self, consumer: Callable[[Frame], None], frame: Frame) -> None:
        """Nobody who looks at frames may cost the others the camera."""
        try:
            consumer(frame)
        except Exception:
            if consumer not in self._broken:
                self._broken.add(consumer)
                log.exception("unexpected error of somebody who looks at the frames (told once)")

    def _serve(self, frame: Frame) -> None:
        if self._settling is not None:
            return
        not_yet = [change.number for change, _ in self._changes] + [change.number for change in self._postponed]
        open_change = min(not_yet + self._inbox.unsent_changes(), default=None)
        for shot in self._inbox.shots():
            waits = open_change is not None and open_change <= shot.after_change
            ready = not waits and self._fits(shot) and self._has_controls(shot)
            if not ready or not shot.due(frame) or not shot.has_room():
                continue
            error = self._why_not(shot, frame)
            if self._inbox.remove(shot):
                if error is None:
                    self._hand_over(shot, frame)
                else:
                    shot.lost(error)
        if self._special is not None and not self._inbox.has(self._special):  # taken, or cancelled
            self._restore(self._special)

    def _hand_over(self, shot: Shot, frame: Frame) -> None:
        """Whatever goes wrong, as a lack of memory, is told to this shot and costs nobody else the camera."""
        try:
            shot.taken(frame)
        except Exception as error:
            log.exception("unexpected error while a frame was taken")
            shot.lost(CommandFailed(f"the frame could not be taken: {error}"))

    def _why_not(self, shot: Shot, frame: Frame) -> ObservatoryError | None:
        """Why a frame will not do for a shot that it has come for."""
        if shot.is_late(frame):
            return TimedOut("the camera was not ready at its time")
        if shot is self._special and self._special_change is not None and not self._special_change.met:
            return CommandFailed(f"the camera did not take the controls of this shot, {shot.controls}")
        return None

    def _give_up_on_old_shots(self) -> None:
        for shot in self._inbox.shots():
            if shot.has_expired(self.longest_frame_s()) and self._inbox.remove(shot):
                shot.lost(TimedOut("the camera brought no frame for it in time"))
        if self._special is not None and not self._inbox.has(self._special):
            self._restore(self._special)

    # shots that need more

    def _prepare(self) -> None:
        """Begin what a shot needs that the camera is not set up for; one at a time, when it is nearly due."""
        if self._special is not None:
            return
        for shot in self._inbox.shots():
            if self._fits(shot) and not self._needs_controls(shot):
                continue
            if shot.ahead_ns > _PREPARE_BEFORE_NS:
                continue
            try:
                self._make_fit(shot)
            except (Blocked, CommandFailed) as error:
                if self._inbox.remove(shot):
                    shot.lost(error)
                self._restore(shot)
            return

    def _make_fit(self, shot: Shot) -> None:
        self._special = shot
        if not self._fits(shot):
            if self._held:
                raise Blocked("a recording runs, and this shot needs another configuration of the camera")
            needed = {f"its {number}": case for number, case in enumerate(shot.cases)}
            self._configure(standing({**self._settings.use_cases(), **needed}, self._transform, needed))
        if shot.controls:
            shot.controls = long_enough(shot.controls, self._settings.controls(), self.capabilities.controls)
            _, wrong = fitting(shot.controls, self.capabilities.controls)
            if wrong:
                raise CommandFailed(f"the controls of this use case do not fit the camera: {'; '.join(wrong.values())}")
            change = self._inbox.new_change(shot.controls)
            shot.after_change = change.number
            self._special_change = change
            self._send(change)

    def _restore(self, shot: Shot) -> None:
        had_controls = self._special_change is not None
        self._special = self._special_change = None
        if self._wanted != self._standing:
            self._configure(self._standing)
        if had_controls:
            values = settled_values(shot.controls, self._settings.controls(), self.capabilities.controls)
            self._send(Change(values, 0))  # older than all: every other shot waits for it
        while self._postponed:
            self._send(self._postponed[0])
            self._postponed.popleft()

    def _fits(self, shot: Shot) -> bool:
        return all(satisfied(self._wanted, case) for case in shot.cases)

    def _has_controls(self, shot: Shot) -> bool:
        """Whether what a shot needs is in force: not while the special one has controls of its own, but for that itself."""
        if shot is self._special:
            return True
        return not self._needs_controls(shot) and self._special_change is None

    def _needs_controls(self, shot: Shot) -> bool:
        """Whether its use case asks for controls that are not in force anyway."""
        in_force = self._settings.controls()
        return any(in_force.get(name) != value for name, value in shot.controls.items())

    # orders

    def _obey(self) -> None:
        self._taken.extend(self._inbox.orders())
        while self._taken:
            order = self._taken[0]
            if isinstance(order, Reconfiguration):
                self._reconfigure(order)
            elif self._special is not None and order.values.keys() & self._special.controls.keys():
                self._postponed.append(order)  # until that shot is taken
            else:
                self._send(order)
            self._taken.popleft()

    def _send(self, change: Change) -> None:
        try:
            self._driver.set_controls(change.values)
        except CommandFailed as error:
            change.done.set_exception(error)
            return
        for older, effect in self._changes:
            if effect.supersede(change.values):
                self._inbox.wait_for(older.number, change.number)
        self._changes.append((change, Effect(change.values, self.metadata, self.capabilities.control_delay_frames)))
        self._sent.update(change.values)
        self._length.ask(self._sent)
        if self._length.is_much_longer:  # nobody wants the frame under way any more
            self._configure(self._wanted, change.values)

    def _reconfigure(self, order: Reconfiguration) -> None:
        before = self._standing
        special, self._special = self._special, None
        try:
            self._standing = order.wanted
            if order.wanted != self._wanted:
                self._configure(order.wanted)
            self._held = order.held
        except CommandFailed as error:
            self._standing = before
            order.done.set_exception(error)
            self._configure(before)
        except Exception as error:  # the session ends with it
            told = error if isinstance(error, ObservatoryError) else CommandFailed(f"it was not configured: {error!r}")
            order.done.set_exception(told)
            raise
        else:
            order.done.set_result(self._actual)
        if special is not None:  # it is made to fit again, or refused
            self._restore(special)

    def _configure(self, wanted: Configuration, changes: Mapping[str, Any] | None = None) -> None:
        """Frames stop, and start in the other configuration with the controls in force and those that change them."""
        if self._gap_from is None and self.metadata:
            self._gap_from = self._last_at
        self._wanted = wanted
        controls, refused = fitting(self._settings.controls(), self.capabilities.controls)
        for name, why in refused.items():
            if name not in self.refused:
                log.error("a control that is set does not fit this camera and is left out: %s", why)
        self.refused = refused
        if self._special is not None and self._special_change is not None:
            controls |= self._special.controls
        controls |= changes or {}
        self._actual = self._driver.configure(wanted, controls)
        self._sent = dict(controls)
        self._length.ask(self._sent)
        self._length.restart()
        self._settling = Settling(controls, self.capabilities.control_delay_frames)
        self._last_at = time.monotonic()
