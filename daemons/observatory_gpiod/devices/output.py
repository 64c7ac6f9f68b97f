"""What outputs have in common: a value that is set, told and switched off in time, and kept over a restart."""

from __future__ import annotations

import threading
import time
from abc import abstractmethod
from typing import Any

from observatory_gpiod.devices.auto_off import AutoOff
from observatory_gpiod.devices.base import Device, DeviceConfig, Hooks, Position, hardware, keeps
from observatory_gpiod.devices.task import Task


class Output(Device):
    """A device that is set to a value. `OFF` and `ON` are the values of `off` and `on`."""

    OFF: Any = None
    ON: Any = None

    def __init__(self, config: DeviceConfig, hooks: Hooks) -> None:
        super().__init__(config, hooks)
        self._setting = threading.RLock()
        self._told: Any = None
        self._factory: Any = None
        self._auto_off: AutoOff | None = None

    @abstractmethod
    def _make(self, factory: Any, value: Any, keep: bool) -> None:
        """Make the gpiozero objects, set to a value, or with `keep` left at what the lines have."""

    @abstractmethod
    def _drive(self, value: Any) -> None:
        """Set the lines."""

    @abstractmethod
    def _read(self) -> Any:
        """The value that the lines have."""

    def _is_active(self, value: Any) -> bool:
        return bool(value != self.OFF)

    def _plain(self, value: Any) -> Any:
        """A value as it goes over the wire."""
        return value

    def prepare_close(self) -> None:
        """Go to the state that the config wants at the stop, with the pins still claimed. Raises CommandFailed."""
        task = self._task
        if task is not None:
            task.replace()
        with self._calls:
            self._end_task()
            if self.is_open and self.config.on_stop != "keep":
                self._set(self._configured(self.config.on_stop), "on_stop")

    def close(self, keep: bool | None = None) -> None:
        """Release the pins; `keep` leaves them as they are, None does what the config wants at the stop."""
        try:
            super().close(keep)
        finally:
            auto_off, self._auto_off = self._auto_off, None
            if auto_off is not None:  # not within a call: an attempt to switch off may be waiting for its end
                auto_off.close()

    def _configured(self, wanted: Any) -> Any:
        return {"off": self.OFF, "on": self.ON}.get(wanted, wanted) if isinstance(wanted, str) else wanted

    def _open(self, factory: Any, position: Position | None) -> None:
        self._factory = factory
        wanted = self.config.on_start
        keep = wanted == "keep"
        value = None if keep else self._configured(wanted)
        if self.config.max_on_time_s is not None:
            self._auto_off = AutoOff(self.id, self.config.max_on_time_s, self._switch_off, self._not_switched_off)
        made = False
        try:
            if self._auto_off is not None and not keep and self._is_active(value):
                self._auto_off.arm()
            self._make(factory, value, keep)
            self._told = self._read()
            made = True
        finally:
            if not made and self._auto_off is not None:
                self._auto_off.close()
                self._auto_off = None

    def _opened(self) -> None:
        active = self._is_active(self._told)
        if active and self._auto_off is not None:
            self._auto_off.arm()
        self._emit("changed", {"value": self._plain(self._told), "active": active, "cause": "on_start"})

    def _close(self, keep: bool) -> None:
        if keep and keeps(self._factory):
            for pin in self.config.pins.values():
                self._factory.pin(pin).keep = True
        self._release()

    def _state(self) -> dict[str, Any]:
        value = self._read()
        remaining_s = None if self._auto_off is None else self._auto_off.remaining_s
        return {"value": self._plain(value), "active": self._is_active(value), "off_in_s": remaining_s}

    def _set(self, value: Any, cause: str, told: bool = True) -> None:
        """Set the lines, tell of the change, and see to it that it does not stay on for too long."""
        with self._setting:
            active = self._is_active(value)
            if active and self._auto_off is not None:
                self._auto_off.arm()  # before it is on: setting it may fail half way
            with hardware(self.id, f"be set to {self._plain(value)}"):
                self._drive(value)
            if not active and self._auto_off is not None:
                self._auto_off.disarm()
            if told and value != self._told:
                self._told = value
                self._emit("changed", {"value": self._plain(value), "active": active, "cause": cause})

    def _rest(self, cause: str) -> None:
        self._set(self.OFF, cause)

    def _for_a_while(self, method: str, duration_s: float | None) -> Task | None:
        """Switch off after a time, if there is one."""
        if duration_s is None:
            return None
        deadline_s = time.monotonic() + duration_s

        def wait(task: Task) -> dict[str, Any]:
            if not task.wait_until(deadline_s):
                self._set(self.OFF, method)
            return {}

        return self._start(method, wait, duration_s)

    def _switch_off(self) -> None:
        """What max_on_time does, in its own thread."""
        task = self._task
        if task is not None:
            task.replace()
        with self._calls:
            if not self.is_open:
                return
            try:
                self._end_task()
            finally:
                self._set(self.OFF, "auto_off")
        self._emit("auto_off", {"after_s": self.config.max_on_time_s})

    def _not_switched_off(self, error: BaseException) -> None:
        self._emit("auto_off_failed", {"error": f"{type(error).__name__}: {error}"})
