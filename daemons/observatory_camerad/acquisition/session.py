"""One opening of the camera: frames come, changes go, shots are served. All of it in the camera's thread."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from observatory_camerad.acquisition.effects import Effect, Settling
from observatory_camerad.acquisition.frames import Frame
from observatory_camerad.acquisition.inbox import Inbox
from observatory_camerad.acquisition.shots import Change, Reconfiguration, Shot
from observatory_camerad.acquisition.use_cases import Transform, satisfied, standing
from observatory_camerad.controls import settled_values
from observatory_camerad.drivers.base import CameraDriver, Capabilities, Configuration, Request
from observatory_camerad.settings import Settings
from observatory_common.errors import Blocked, CommandFailed, DeviceLost, ObservatoryError

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
        self._driver = driver
        self._inbox = inbox
        self._settings = settings
        self._transform = transform
        self._consumers = tuple(consumers)
        self._changes: list[tuple[Change, Effect]] = []
        self._special: Shot | None = None  # the one for which configuration or controls are not the standing ones
        self._held = False
        self._settling: Settling | None = None
        self._last_at = time.monotonic()
        self._gap_from: float | None = None
        self.capabilities: Capabilities = driver.open()

    def configure(self, wanted: Configuration) -> None:
        """Begin in a configuration. Raises CommandFailed."""
        self._standing = wanted
        self._configure(wanted)

    @property
    def configuration(self) -> Configuration:
        """As the camera has it."""
        return self._actual

    @property
    def wanted(self) -> Configuration:
        """As it was asked for."""
        return self._wanted

    def step(self, timeout_s: float) -> Frame | None:
        """Do what is asked, wait up to `timeout_s` seconds for a frame, hand it on. Raises DeviceLost for a stall."""
        self._obey()
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

    def _hand_on(self, request: Request, now: float) -> Frame:
        self.frames += 1
        frame = Frame(request, self._actual, self.frames)
        self.metadata, self.frame_s, self._last_at = frame.metadata, frame.duration_s, now
        if self._gap_from is not None and self._wanted == self._standing:
            self.gap_s, self._gap_from = now - self._gap_from, None
        if self._settling is not None and self._settling.over(frame.metadata):
            self._settling = None
        for change, effect in list(self._changes):
            if effect.seen(frame.metadata):
                self._changes.remove((change, effect))
                change.done.set_result(frame)
        self._serve(frame)
        for consumer in self._consumers:
            consumer(frame)
        return frame

    def _serve(self, frame: Frame) -> None:
        if self._settling is not None:
            return
        not_yet = [change.number for change, _ in self._changes] + self._inbox.unsent_changes()
        open_change = min(not_yet, default=None)
        for shot in self._inbox.shots():
            waits = open_change is not None and open_change <= shot.after_change
            ready = not waits and self._fits(shot) and self._has_controls(shot)
            if ready and shot.due(frame) and self._inbox.remove(shot):
                shot.taken(frame)
        if self._special is not None and not self._inbox.has(self._special):  # taken, or cancelled
            self._restore(self._special)

    def _prepare(self) -> None:
        """Begin what a shot needs that the camera is not set up for; one at a time, when it is nearly due."""
        if self._special is not None:
            return
        for shot in self._inbox.shots():
            if self._fits(shot) and not self._needs_controls(shot):
                continue
            if shot.at_ns is not None and shot.at_ns - time.time_ns() > _PREPARE_BEFORE_NS:
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
            change = self._inbox.new_change(shot.controls)
            shot.after_change = change.number
            self._send(change)

    def _restore(self, shot: Shot) -> None:
        self._special = None
        if self._wanted != self._standing:
            self._configure(self._standing)
        if self._needs_controls(shot):
            values = settled_values(shot.controls, self._settings.controls(), self.capabilities.controls)
            self._send(Change(values, 0))  # older than all: every other shot waits for it

    def _fits(self, shot: Shot) -> bool:
        return all(satisfied(self._wanted, case) for case in shot.cases)

    def _has_controls(self, shot: Shot) -> bool:
        """Whether what a shot needs is in force: not while the special one has controls of its own, but for that itself."""
        if shot is self._special:
            return True
        return not self._needs_controls(shot) and not (self._special is not None and self._needs_controls(self._special))

    def _needs_controls(self, shot: Shot) -> bool:
        """Whether its use case asks for controls that are not in force anyway."""
        in_force = self._settings.controls()
        return any(in_force.get(name) != value for name, value in shot.controls.items())

    def _obey(self) -> None:
        for order in self._inbox.orders():
            if isinstance(order, Change):
                self._send(order)
            else:
                self._reconfigure(order)

    def _send(self, change: Change) -> None:
        try:
            self._driver.set_controls(change.values)
        except CommandFailed as error:
            change.done.set_exception(error)
            return
        self._changes.append((change, Effect(change.values, self.metadata, self.capabilities.control_delay_frames)))

    def _reconfigure(self, order: Reconfiguration) -> None:
        before = self._standing
        try:
            if order.wanted != self._wanted:
                self._configure(order.wanted)
            self._standing, self._held = order.wanted, order.held
            order.done.set_result(self._actual)
        except CommandFailed as error:
            self._configure(before)
            order.done.set_exception(error)

    def _configure(self, wanted: Configuration) -> None:
        """Frames stop, and start in the other configuration with the controls in force."""
        if self._gap_from is None and self.metadata:
            self._gap_from = self._last_at
        self._wanted = wanted
        self._actual = self._driver.configure(wanted)
        controls = {name: value for name, value in self._settings.controls().items() if name in self.capabilities.controls}
        if controls:
            self._driver.set_controls(controls)
        self._settling = Settling(controls, self.capabilities.control_delay_frames)
        self._last_at = time.monotonic()

    def longest_frame_s(self) -> float:
        """How long the frame under way may take: a long exposure may just have been asked for."""
        asked = self._settings.controls()
        if self._special is not None:
            asked = {**asked, **self._special.controls}
        shortest = (asked.get("FrameDurationLimits") or (0, 0))[0]
        return max(self.frame_s, (asked.get("ExposureTime") or 0) / 1e6, shortest / 1e6)

    def end(self, error: ObservatoryError) -> None:
        """Tell everybody who waits that the camera has gone."""
        for change, _ in self._changes:
            change.done.set_exception(error)
        self._inbox.fail(error)
