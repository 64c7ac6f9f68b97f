"""What outputs have in common: a value that is set, told and switched off in time, and kept over a restart."""

from __future__ import annotations

import threading
import time
from abc import abstractmethod
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from observatory_common.errors import ObservatoryError, TimedOut
from observatory_gpiod.devices.auto_off import AutoOff
from observatory_gpiod.devices.base import Device, DeviceConfig, Hooks, Position, hardware, keeps
from observatory_gpiod.devices.task import Task

_LONGEST_SETTING_S = 3.0  # more than a pin factory gives its board
_LONGEST_END_AT_STOP_S = 1.0  # the end of a daemon has no more time
_UNTOLD: Any = object()  # unlike every value: whatever comes next is told


class Output(Device):
    """A device that is set to a value. `OFF` and `ON` are the values of `off` and `on`."""

    OFF: Any = None
    ON: Any = None
    READINGS: ClassVar[tuple[str, ...]] = ("value", "active", "off_in_s")

    def __init__(self, config: DeviceConfig, hooks: Hooks) -> None:
        super().__init__(config, hooks)
        self._setting = threading.RLock()
        self._told: Any = None
        self._factory: Any = None
        self._auto_off: AutoOff | None = None
        self._spent: deque[AutoOff] = deque()  # to be closed, but not within a call: an attempt may wait for its end
        self._spoilt = False

    @abstractmethod
    def _make(self, factory: Any, value: Any, keep: bool) -> None:
        """Make the gpiozero objects, set to a value, or with `keep` left at what the lines have."""

    @abstractmethod
    def _drive(self, value: Any) -> None:
        """Set the lines."""

    @abstractmethod
    def _read(self) -> Any:
        """The value that the lines have."""

    def _put_off(self) -> bool:
        """Set to off what there is of a device that could not be opened as a whole; True if it can be left so."""
        return False

    def _is_active(self, value: Any) -> bool:
        return bool(value != self.OFF)

    def _can_be_kept(self) -> bool:
        """Whether the lines can stay as they are without this process."""
        return True

    def _plain(self, value: Any) -> Any:
        """A value as it goes over the wire."""
        return value

    def prepare_close(self) -> None:
        """Go to the state that the config wants at the stop, with the pins still claimed. Raises CommandFailed, TimedOut.

        What must not be on for long goes off: nobody would be there to switch it off in time.
        """
        task = self._task
        if task is not None:
            task.replace()
        with self._calls:
            if not self.is_open:
                return
            try:
                self._end_task(_LONGEST_END_AT_STOP_S)
            finally:
                with hardware(self.id, "be brought to rest"):
                    self._come_to_rest()

    def _come_to_rest(self) -> None:
        keep = self.config.on_stop == "keep"
        value = self._read() if keep else self._configured(self.config.on_stop)
        watched = self._auto_off is not None and self._is_active(value)
        if watched or (keep and not self._can_be_kept()):
            self._set(self.OFF, "on_stop")
        elif not keep:
            self._set(value, "on_stop")

    def open(self, factory: Any, position: Position | None = None) -> None:
        """Claim the pins: see `Device.open`."""
        try:
            super().open(factory, position)
        finally:
            self._close_spent()

    def close(self, keep: bool | None = None) -> None:
        """Release the pins: see `Device.close`."""
        try:
            super().close(keep)
        finally:
            self._close_spent()

    def _unwatch(self) -> None:
        auto_off, self._auto_off = self._auto_off, None
        if auto_off is not None:
            auto_off.stop()
            self._spent.append(auto_off)

    def _close_spent(self) -> None:
        while self._spent:
            try:
                self._spent.popleft().close()
            except IndexError:  # somebody was faster
                return

    def _configured(self, wanted: Any) -> Any:
        return {"off": self.OFF, "on": self.ON}.get(wanted, wanted) if isinstance(wanted, str) else wanted

    def _open(self, factory: Any, position: Position | None) -> None:
        self._factory = factory
        wanted = self.config.on_start
        keep = wanted == "keep"
        value = None if keep else self._configured(wanted)
        if self.config.max_on_time_s is not None:
            self._auto_off = AutoOff(self.id, self.config.max_on_time_s, self._switch_off, self._not_switched_off)
        if self._auto_off is not None and not keep and self._is_active(value):
            self._auto_off.arm()
        self._make(factory, value, keep)
        self._told = self._read()
        self._spoilt = False

    def _undo_open(self) -> None:
        """Off, and not driven if that cannot be done; with on_start keep the lines stay as they were found."""
        self._spoilt = True
        self._unwatch()
        leave = self.config.on_start == "keep"
        try:
            if not leave:
                with hardware(self.id, "be switched off"):
                    leave = self._put_off()
        except ObservatoryError:
            leave = False  # the one that is told is why it could not be opened
        finally:
            self._close(leave)

    def _opened(self) -> None:
        active = self._is_active(self._told)
        if active and self._auto_off is not None:
            self._auto_off.arm()
        self._emit("changed", {"value": self._plain(self._told), "active": active, "cause": "on_start"})

    def _close(self, keep: bool | None) -> None:
        if keep is not False and keeps(self._factory):
            for pin in self.config.pins.values():
                self._factory.pin(pin).keep = True
        self._release()

    def _state(self) -> dict[str, Any]:
        value, auto_off = self._read(), self._auto_off
        remaining_s = None if auto_off is None else auto_off.remaining_s
        return {"value": self._plain(value), "active": self._is_active(value), "off_in_s": remaining_s}

    def _set(self, value: Any, cause: str, told: bool = True) -> None:
        """Set the lines, tell of the change, and see to it that it does not stay on for too long."""
        with self._set_alone():
            active = self._is_active(value)
            if active and self._auto_off is not None:
                self._auto_off.arm()  # before it is on: setting it may fail half way
            changes = value != self._told
            if changes:
                self._told = _UNTOLD  # until it is told, which a step is not, nor what fails half way
            with hardware(self.id, f"be set to {self._plain(value)}"):
                self._drive(value)
            if not active and self._auto_off is not None:
                self._auto_off.disarm()
            if told and changes:
                self._told = value
                self._emit("changed", {"value": self._plain(value), "active": active, "cause": cause})

    @contextmanager
    def _set_alone(self) -> Iterator[None]:
        if not self._setting.acquire(timeout=_LONGEST_SETTING_S):
            raise TimedOut(f"{self.id} has been being set for more than {_LONGEST_SETTING_S:g} s", value=self.id)
        try:
            yield
        finally:
            self._setting.release()

    def _rest(self, cause: str) -> None:
        self._set(self.OFF, cause)

    def _for_a_while(self, method: str, duration_s: float | None) -> Task | None:
        """Switch off after a time, if there is one."""
        if duration_s is None:
            return None
        deadline_s = time.monotonic() + duration_s

        def wait(task: Task) -> dict[str, Any]:
            if not task.pass_time(deadline_s):
                self._set(self.OFF, method)
            return {}

        return self._start(method, wait, duration_s)

    def switch_off(self, cause: str) -> bool:
        """End what runs, and set it to off (a servo: no pulses; a stepper: no current). Overtakes every other call, as `stop`.

        False if it is not open. Raises CommandFailed, TimedOut.
        """
        self._last_stop = object()
        return self._end_off(cause)

    def _end_off(self, cause: str) -> bool:
        task = self._task
        if task is not None:
            task.replace()
        with self._calls:
            if not self.is_open:
                return False
            try:
                self._end_task()
            finally:
                self._set(self.OFF, cause)
        return True

    def _switch_off(self) -> None:
        """What max_on_time does, in its own thread; a call that waits meanwhile is a new one, and done."""
        with self._calls:  # whoever had it may have switched off, and on again with a deadline of its own
            is_due = self._auto_off is not None and self._auto_off.remaining_s == 0
            if is_due and self._end_off("auto_off"):
                self._emit("auto_off", {"after_s": self.config.max_on_time_s})

    def _not_switched_off(self, error: BaseException) -> None:
        self._emit("auto_off_failed", {"error": f"{type(error).__name__}: {error}"})
