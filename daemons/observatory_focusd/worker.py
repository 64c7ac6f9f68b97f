"""The one thread that owns the serial port: connects, reads on time, carries out requests, reconnects after a loss."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection
from typing import Any

from observatory_common import timestamps
from observatory_common.errors import CommandFailed, DeviceLost, NotConnected, NotDisconnected, ObservatoryError, TimedOut
from observatory_focusd.config import FocusdConfig
from observatory_focusd.controller import Controller
from observatory_focusd.link import Opener, Overtaken, Silence
from observatory_focusd.mailbox import Mailbox, Request
from observatory_focusd.motion import Motion
from observatory_focusd.snapshot import AxisView, Snapshot

log = logging.getLogger("focusd.worker")

_LONGEST_WAIT_S = 1.0
_SHORTEST_BACK_OFF_S, _LONGEST_BACK_OFF_S = 0.1, 2.0
_BETWEEN_FIRST_READINGS_S = 0.15
_AFTER_SILENCE_S = 0.2
_TEMPERATURE_PERIOD_S = 30.0
_INITIALIZE_TIMEOUT_S = 4.0


class Worker:
    """Owns the port and everything that is done with it.

    `start()` it once, `close()` it once. Other threads put work to it with `call`, and read `snapshot`.
    """

    def __init__(self, config: FocusdConfig) -> None:
        self.snapshot = Snapshot()
        self._config = config
        self._motion: Motion | None = None
        self._mailbox = Mailbox()
        self._controller: Controller | None = None
        self._wanted = True
        self._closing = threading.Event()
        self._attempted = threading.Condition()
        self._attempts = 0
        self._progress_at = time.monotonic()
        self._retry_at = 0.0
        self._back_off_s = _SHORTEST_BACK_OFF_S
        self._read_at = 0.0
        self._stop_again_at = 0.0
        self._temperatures_at = 0.0
        self._last_error: str | None = None
        self._fans: bool | None = None
        self._temperatures_c: dict[str, float | None] = {}
        self._reading_date: str | None = None
        self._thread = threading.Thread(target=self._run, name="focusd-worker", daemon=True)

    def attach(self, motion: Motion) -> None:
        """Take the channels over; before `start`."""
        self._motion = motion
        self.publish()

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def last_progress(self) -> float:
        """When the worker last showed life, on the monotonic clock."""
        return self._progress_at

    def call(self, work: Callable[[Controller], Any], moves: Collection[int] = ()) -> Any:
        """Have `work` done with the controller, in the worker's thread, and return its result.

        Raises what it raises; NotConnected at once when there is no controller; TimedOut when the worker is busy for
        too long, Stopped when a stop of the channels it `moves` comes first, and then it is not done later either.
        """
        if not self.snapshot.connected:
            raise self._not_connected()
        return self._submit(lambda: work(self._require_controller()), moves=moves)

    def switch_fans(self, enabled: bool) -> None:
        """Switch the fans. Raises as `call`, and CommandFailed where there are none."""

        def switch(controller: Controller) -> None:
            controller.set_fans(enabled)
            self._fans = enabled

        self.call(switch)

    def stop(self, channels: Collection[int], by: str) -> list[dict[str, Any]]:
        """Stop channels, before all other work.

        Raises NotConnected when there is no controller, DeviceLost when the port fails, TimedOut when it does not
        acknowledge; in each case the channels are stopped as soon as it can be reached, until `disconnect`.
        """
        assert self._motion is not None
        if self._wanted:
            self._motion.stops_owed.add(channels, by)
        try:
            result: list[dict[str, Any]] = self._submit(lambda: self._stop(channels, by), channels)
        except TimedOut as error:
            raise TimedOut(f"the stop is not acknowledged yet, and is repeated until it is: {error}") from None
        return result

    def connect(self) -> None:
        """Connect now. Raises NotDisconnected if connected, CommandFailed if it does not succeed within 4 s."""
        before = self._attempts
        self._submit(self._want)
        with self._attempted:
            self._attempted.wait_for(lambda: self._attempts > before, _INITIALIZE_TIMEOUT_S)
        if not self.snapshot.connected:
            why = self.snapshot.last_error or "no answer so far"
            raise CommandFailed(f"not connected yet, and tried again until it is: {why}")

    def disconnect(self, by: str) -> list[dict[str, Any]]:
        """Stop what moves and release the port; nothing reconnects until `connect`. Raises NotConnected if there is none."""
        channels = range(1, len(self.snapshot.axes) + 1)
        result: list[dict[str, Any]] = self._submit(lambda: self._release(by), channels)
        return result

    def stop_waits(self) -> bool:
        """Whether a stop waits for the worker."""
        return self._mailbox.stop_waiting()

    def close(self, deadline_s: float) -> None:
        """Stop what moves, release the port and end the thread, within about `deadline_s` seconds."""
        self._closing.set()
        self._mailbox.wake()
        self._thread.join(deadline_s)
        if self._thread.is_alive():
            log.error("the serial worker did not end within %g s", deadline_s)

    def _submit(self, work: Callable[[], Any], stops: Collection[int] = (), moves: Collection[int] = ()) -> Any:
        request = Request(work, stops, moves)
        self._mailbox.put(request)
        return request.wait()

    def publish(self) -> None:
        """Replace the snapshot by what is known now."""
        motion, controller = self._motion, self._controller
        assert motion is not None
        away = "connecting" if self._wanted else "offline"
        state = away if controller is None else "moving" if motion.moving else "idle"
        samples = [axis.sample for axis in motion.axes if axis.sample is not None and controller is not None]
        self.snapshot = Snapshot(
            state=state,
            last_error=self._last_error,
            firmware=controller.firmware.name if controller is not None else None,
            steps_per_s=motion.steps_per_s if controller is not None else None,
            read_at=max((sample.received_at for sample in samples), default=None),
            reading_date=self._reading_date,
            fans_enabled=self._fans,
            temperatures_c=dict(self._temperatures_c),
            axes=tuple(AxisView.of(axis, controller is not None) for axis in motion.axes),
        )

    def _run(self) -> None:
        log.info("the serial worker runs", extra={"fields": {"thread": threading.get_native_id()}})
        motion = self._motion
        assert motion is not None
        while not self._closing.is_set():
            try:
                self._progress_at = time.monotonic()
                self._turn(motion)
            except Overtaken:
                continue
            except DeviceLost as error:
                self._lose(motion, str(error))
            except Exception as error:  # the last resort: a worker that dies would leave a motor unattended
                log.exception("unexpected error in the serial worker")
                self._lose(motion, f"internal error: {error}")
                self._retry_at = time.monotonic() + _LONGEST_BACK_OFF_S
        by = "the daemon, which is shutting down"
        if self._controller is not None:
            try:
                self._release(by)
            except ObservatoryError as error:
                log.error("while shutting down: %s", error)
        elif running := motion.stops_owed.may_run_on():
            motion.stops_owed.promise(running, by)  # as it would have been while connected: the next run sees to it
            log.error("there is no connection: channel %s may be moving", running)

    def _turn(self, motion: Motion) -> None:
        """Connect if it is time, carry out one request, or take a reading that is due."""
        now = time.monotonic()
        controller = self._controller
        if controller is None:
            wait_s = min(self._retry_at - now, _LONGEST_WAIT_S) if self._wanted else _LONGEST_WAIT_S
            request = self._mailbox.take(wait_s)
            if request is not None:
                self._serve(request)
            elif self._wanted and time.monotonic() >= self._retry_at:
                self._attempt(motion)
            return
        if motion.stops_owed and now >= self._stop_again_at and not self._mailbox.stop_waiting():
            self._repeat_stop(motion, controller)
            return
        due_at = self._due_at(motion, controller)
        request = self._mailbox.take(min(due_at - now, _LONGEST_WAIT_S))
        if request is not None:
            self._serve(request)
        elif time.monotonic() >= due_at:
            self._read(motion, controller)
        elif controller.hung_up():
            raise DeviceLost(f"{self._config.serial_port} has hung up")

    def _due_at(self, motion: Motion, controller: Controller) -> float:
        due = motion.next_reading_at(self._config.moving_loop_delay)
        if due is None:
            due = self._read_at + self._config.idle_loop_delay
        if controller.heard_at < self._read_at:  # the last reading failed
            due = self._read_at + _AFTER_SILENCE_S
        return min(due, self._stop_again_at) if motion.stops_owed else due

    def _serve(self, request: Request | None) -> None:
        if request is None or not request.claim():
            return
        motion = self._motion
        assert motion is not None
        try:
            result = request.run()
        except Overtaken:
            request.fail(TimedOut("given up for a stop, which is more urgent"))
        except Exception as error:  # noqa: BLE001 - belongs to the caller, who raises it; the worker lives on
            if isinstance(error, (DeviceLost, Silence)):
                self._lose_if_silent(motion)
            self.publish()
            request.fail(TimedOut(str(error)) if isinstance(error, Silence) else error)
        else:
            self.publish()
            request.succeed(result)

    def _read(self, motion: Motion, controller: Controller) -> None:
        self._read_at = time.monotonic()
        try:
            motion.observe(controller, self._mailbox.stop_waiting)
        except Silence as silence:
            log.warning("%s", silence)
            self._last_error = str(silence)
            self._lose_if_silent(motion)
            self.publish()
            return
        self._reading_date = timestamps.utc_now()
        if not motion.stops_owed:
            self._last_error = None
        self.publish()
        if controller.firmware.has_fans and not motion.moving:
            self._read_extras(controller)

    def _read_extras(self, controller: Controller) -> None:
        """Fans and temperature probes of the 2023 firmware; given up at once when anything more useful is to do."""
        try:
            self._fans = controller.read_fans()
            self.publish()
            if time.monotonic() >= self._temperatures_at:
                for name, probe in self._config.temperature_probes.items():
                    try:
                        self._temperatures_c[name] = controller.read_temperature(probe.address, self._mailbox.waiting)
                    except Silence:
                        self._temperatures_c[name] = None
                        raise
                self._temperatures_at = time.monotonic() + _TEMPERATURE_PERIOD_S
        except Silence as silence:
            self._temperatures_at = time.monotonic() + _TEMPERATURE_PERIOD_S
            log.warning("%s", silence)
        self.publish()

    def _stop(self, channels: Collection[int], by: str) -> list[dict[str, Any]]:
        motion = self._motion
        assert motion is not None
        if self._controller is None:
            if not self._wanted:
                raise self._not_connected()
            motion.stops_owed.promise(channels, by)
            error = self._not_connected()
            raise NotConnected(f"{error}; what moves is stopped as soon as it is connected")
        present = [n for n in channels if motion.axis(n).connected] or list(channels)
        return motion.stop(self._controller, present, by)

    def _repeat_stop(self, motion: Motion, controller: Controller) -> None:
        self._stop_again_at = time.monotonic() + _AFTER_SILENCE_S
        try:
            motion.repeat_stops(controller)
        except TimedOut as error:
            log.warning("%s", error)
            self._lose_if_silent(motion)
        self.publish()

    def _want(self) -> None:
        if self._controller is not None:
            raise NotDisconnected("the controller is already connected")
        self._wanted = True
        self._retry_at, self._back_off_s = 0.0, _SHORTEST_BACK_OFF_S

    def _attempt(self, motion: Motion) -> None:
        """One attempt to connect; a failure is noted and the next one scheduled."""
        try:
            self._open(motion)
        except (DeviceLost, Silence) as error:
            first = str(error) != self._last_error
            self._last_error = str(error)
            log.log(logging.WARNING if first else logging.DEBUG, "%s", error)
            self._retry_at = time.monotonic() + self._back_off_s
            self._back_off_s = min(2 * self._back_off_s, _LONGEST_BACK_OFF_S)
        self.publish()
        with self._attempted:
            self._attempts += 1
            self._attempted.notify_all()

    def _open(self, motion: Motion) -> None:
        opener = Opener(self._config.serial_port, self._config.serial_baud, self._tick)
        link = None
        while link is None:
            self._tick()
            if self._interrupts_connecting():
                opener.abandon()
                raise Overtaken
            link = opener.wait(_BETWEEN_FIRST_READINGS_S)
        try:
            controller = Controller.identify(link, self._config.serial_timeout, self._interrupts_connecting)
            first = controller.read(self._interrupts_connecting)
            self._closing.wait(_BETWEEN_FIRST_READINGS_S)
            second = controller.read(self._interrupts_connecting)
            fans = controller.read_fans()
        except BaseException:
            link.close()
            raise
        motion.resume(first, second, self._config.steps_per_s or controller.firmware.steps_per_s)
        self._controller, self._fans = controller, fans
        self._read_at = controller.heard_at
        self._reading_date = timestamps.utc_now()
        self._back_off_s = _SHORTEST_BACK_OFF_S
        self._last_error = None
        log.info("connected to %s, firmware of %s", self._config.serial_port, controller.firmware.name)
        motion.announce("connected", serial_port=self._config.serial_port, firmware=controller.firmware.name)

    def _interrupts_connecting(self) -> bool:
        """Serve whoever asks meanwhile, none of whom needs a controller, and say whether connecting is no longer wanted."""
        while (request := self._mailbox.take(0)) is not None:
            self._serve(request)
        return self._closing.is_set() or not self._wanted

    def _release(self, by: str) -> list[dict[str, Any]]:
        motion, controller = self._motion, self._controller
        assert motion is not None
        if controller is None and not self._wanted:
            raise self._not_connected()
        self._wanted = False
        if controller is None:
            if running := motion.stops_owed.may_run_on():
                motion.stops_owed.promise(running, by)
                raise TimedOut(f"channel {' and '.join(map(str, running))} may be moving, and is stopped once it is connected")
            return []
        owed = motion.stops_owed.items()
        motion.stops_owed.clear()
        # Without a fresh reading nothing is known to be at rest.
        unread = controller.heard_at < self._read_at
        moving = [axis.number for axis in motion.axes if axis.connected and (axis.moving or axis.number in owed or unread)]
        try:
            return motion.stop(controller, moving, by) if moving else []
        except TimedOut as error:
            raise TimedOut(f"the port is closed, but a motor may run on: {error}") from error
        finally:
            self._drop(motion, f"the connection was closed by {by}")

    def _lose_if_silent(self, motion: Motion) -> None:
        controller, limit_s = self._controller, self._config.serial_timeout
        if controller is not None and (controller.hung_up() or time.monotonic() - controller.heard_at >= limit_s):
            self._lose(motion, f"{self._config.serial_port} is gone, or silent for more than serial_timeout ({limit_s:g} s)")

    def _lose(self, motion: Motion, reason: str) -> None:
        if self._controller is None:
            return
        log.error("%s", reason)
        self._last_error = reason
        self._retry_at = 0.0
        self._drop(motion, reason)
        motion.announce("lost", reason=reason)

    def _drop(self, motion: Motion, reason: str) -> None:
        assert self._controller is not None
        self._controller.close()
        self._controller = None
        self._fans = None
        self._temperatures_c = {}
        motion.lost(reason)
        self.publish()

    def _tick(self) -> None:
        self._progress_at = time.monotonic()

    def _require_controller(self) -> Controller:
        if self._controller is None:
            raise self._not_connected()
        return self._controller

    def _not_connected(self) -> NotConnected:
        why = self._last_error
        return NotConnected("the focuser is not connected" + (f": {why}" if why else ""))
