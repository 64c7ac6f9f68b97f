"""What all devices have in common: state, calls from the table, one long method at a time, events."""

from __future__ import annotations

import struct
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeGuard

from observatory_common import timestamps
from observatory_common.errors import CommandFailed, NotConnected, ObservatoryError, Stopped
from observatory_gpiod.devices.description import DeviceType
from observatory_gpiod.devices.table import TYPES, checked
from observatory_gpiod.devices.task import Body, Task
from observatory_gpiod.pins import pin_name

#: What only makes a device safe: done whatever else fails, and however late.
HARMLESS = frozenset({"stop", "off", "detach"})
_LONGEST_END_S = 5.0
#: What the libraries raise beside their own errors: RPi.GPIO the first three, pigpio without its connection the others.
_UNFORESEEN = (RuntimeError, ValueError, TypeError, AttributeError, LookupError, struct.error)


class Keeping(Protocol):
    """A pin factory that can take over an output, and leave it behind, at the level that it has.

    `can_keep` is True. Its pins become outputs without an edge (`function = "output"`), and what closes them once
    `keep` is True leaves the line as it is. Other factories of gpiozero do what they can: see `keeps`.
    """

    can_keep: bool

    def pin(self, name: int) -> Any:
        """The pin of a line."""


def keeps(factory: Any) -> TypeGuard[Keeping]:
    """True for a factory that can keep levels."""
    return getattr(factory, "can_keep", False) is True


@dataclass(frozen=True)
class DeviceConfig:
    """A checked device of the config: complete parameters; `on_start` and `on_stop` are keep, off, on or a value."""

    id: str
    type: str
    pins: Mapping[str, int]
    parameters: Mapping[str, Any]
    on_start: Any = "off"
    on_stop: Any = "off"
    max_on_time_s: float | None = None
    label: str | None = None


@dataclass(frozen=True)
class Position:
    """Where something that moves is, to be kept over a restart.

    `value` is in degrees (of a plain Servo -1 to 1), None if unknown; `phase` (0 to 7) is the half step of a stepper's
    coils, `trim` what `zero` has subtracted. Not `certain`: it was moving when nobody watched.
    """

    value: float | None
    phase: int = 0
    trim: float = 0.0
    certain: bool = True


def _no_event(_device: str, _name: str, _data: dict[str, Any]) -> None:
    pass


def _no_move(_device: str, _start: Position, _target: Position) -> None:
    pass


def _no_position(_device: str, _position: Position) -> None:
    pass


@dataclass(frozen=True)
class Hooks:
    """Who is told. All are called in the thread where it happens, and must neither wait long nor call the device.

    `on_event(device, name, data)`; `on_moving(device, from, to)` before anything moves (what it raises prevents the
    move); `on_position(device, position)` when it stands again, or its position was given another name.
    """

    on_event: Callable[[str, str, dict[str, Any]], None] = _no_event
    on_moving: Callable[[str, Position, Position], None] = _no_move
    on_position: Callable[[str, Position], None] = _no_position


@contextmanager
def hardware(device: str, doing: str) -> Iterator[None]:
    """Turn what gpiozero, the library under it and the system raise into CommandFailed; our own errors pass."""
    from gpiozero.exc import GPIOZeroError

    libraries = [sys.modules[name] for name in ("lgpio", "pigpio") if name in sys.modules]  # whichever is in use
    failures = (GPIOZeroError, OSError, *(library.error for library in libraries))
    try:
        yield
    except ObservatoryError:
        raise
    except failures as error:
        raise CommandFailed(f"{device} could not {doing}: {error}", value=device) from error
    except _UNFORESEEN as error:
        raise CommandFailed(f"{device} could not {doing}: {type(error).__name__}: {error}", value=device) from error


class Device(ABC):
    """One device. Its methods may be called from any thread."""

    #: Each method of the table, bound to the function that does it; nothing else can be called.
    METHODS: ClassVar[Mapping[str, Callable[[Any, dict[str, Any]], Task | None]]] = {}
    #: The keys of what it reads.
    READINGS: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: DeviceConfig, hooks: Hooks) -> None:
        self.config = config
        self.hooks = hooks
        self.type: DeviceType = TYPES[config.type]
        self.since: str | None = None
        self._calls = threading.RLock()  # one call at a time; the running task never takes it
        self._reading = threading.Lock()  # what is being read is not closed meanwhile
        self._last_stop = object()  # another one whenever a stop is asked for: calls that wait see it
        self._task: Task | None = None
        self._executor: ThreadPoolExecutor | None = None

    @property
    def id(self) -> str:
        """Its name in the config."""
        return self.config.id

    @property
    def is_open(self) -> bool:
        """True from `open` to `close`."""
        return self._executor is not None

    @property
    def broken(self) -> str | None:
        """Why it has to be closed and opened again; None while it is well."""
        return None

    @property
    def task(self) -> Task | None:
        """The long method that runs, None if none does."""
        task = self._task
        return task if task is not None and task.state == "running" else None

    def open(self, factory: Any, position: Position | None = None) -> None:
        """Claim the pins from a pin factory of gpiozero, and go to the state that the config wants at the start.

        `position` is where it was when it was last used, of what moves.
        """
        with self._calls:
            if self.is_open:
                return
            opened = False
            try:
                with hardware(self.id, "be opened"):
                    self._open(factory, position)
                opened = True
            finally:
                if not opened:
                    self._undo_open()
            self._executor = ThreadPoolExecutor(1, f"gpio {self.id}")
            self.since = timestamps.utc_now()
            self._opened()

    def state(self) -> dict[str, Any]:
        """What it is, and what it reads now. Raises NotConnected if it is not open."""
        task = self.task
        with self._reading, hardware(self.id, "be read"):
            self._check_open()
            reading = self._state()
        return self._as_state(self.since, task, reading)

    def unknown_state(self) -> dict[str, Any]:
        """The same keys with nothing known, of a device that cannot be read."""
        return self._as_state(None, None, dict.fromkeys(self.READINGS))

    def _as_state(self, since: str | None, task: Task | None, reading: dict[str, Any]) -> dict[str, Any]:
        runs = {"running": None, "job": None} if task is None else {"running": task.method, "job": task.job_id}
        return {"type": self.config.type, "label": self.config.label, "since": since, **runs, **reading}

    def describe(self) -> dict[str, Any]:
        """The type's description as it is for this device: its ranges, what it can do, its pins, what is configured."""
        described = self.type.described(self.config.parameters)
        return described | {
            "id": self.id,
            "label": self.config.label,
            "lines": {name: pin_name(pin) for name, pin in self.config.pins.items()},
            "configured": self._configuration(),
            "methods": [method for method in described["methods"] if self._can(method["name"])],
        }

    def _configuration(self) -> dict[str, Any]:
        """The parameters and, of an output, its states at start and stop, under the config's names."""
        config = self.config
        states = {"on_start": config.on_start, "on_stop": config.on_stop, "max_on_time": config.max_on_time_s}
        return {**config.parameters, **(states if self.type.is_output else {})}

    def _can(self, method: str) -> bool:
        """Whether it can ever do a method of its type, as it is configured."""
        return True

    def check(self, method: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """The arguments of a method, complete. Raises UnknownMethod, InvalidArgument; moves nothing."""
        complete = checked(self.type, method, arguments, self.config.parameters)
        self._refuse(method, complete)
        return complete

    def call(
        self,
        method: str,
        arguments: dict[str, Any],
        begins: Callable[[], None] = lambda: None,
        withdrawn: Callable[[], bool] = lambda: False,
    ) -> Task | None:
        """Do a method of the table: a task if it goes on after the return, else None.

        What runs is ended first. `begins` is called once it is accepted, before anything changes. Raises UnknownMethod,
        InvalidArgument (before anything moves), NotConnected; Stopped if by its turn it is `withdrawn`, or somebody has asked
        for a stop since (which keeps nothing HARMLESS from being done).
        """
        complete = self.check(method, arguments)
        if method == "stop":
            self.stop(begins)
            return None
        last_stop = self._last_stop

        def is_withdrawn() -> bool:
            return withdrawn() or (method not in HARMLESS and self._last_stop is not last_stop)

        with self._calls:
            if is_withdrawn():
                raise self._not_done(method)
            self._check_open()
            begins()
            was_busy = self._task is not None and not self._task.is_over
            self._end_task()
            if is_withdrawn():
                if was_busy:  # what has just ended has left the device to this call
                    self._rest("stop")
                raise self._not_done(method)
            self._refuse(method, complete)  # again: what has just ended may have left it elsewhere, or lost
            return self.METHODS[method](self, complete)

    def stop(self, begins: Callable[[], None] = lambda: None) -> None:
        """End what runs, and leave the device safe: off, or where it is. Overtakes every other call; those are not done."""
        self._last_stop = object()
        task = self._task
        if task is not None:
            task.replace()
        with self._calls:
            self._check_open()
            begins()
            try:
                self._end_task()
            finally:
                self._rest("stop")

    def abandon(self, error: ObservatoryError) -> None:
        """Release what is left of the pins, which are gone; what runs ends with `error`."""
        task = self._task
        if task is not None:
            task.abandon(error)
        self.close(keep=True)

    def look_after(self) -> None:  # noqa: B027 (most have nothing to do)
        """What is to be done now and then; called about every second, from any thread."""

    def prepare_close(self) -> None:  # noqa: B027 (inputs have nothing to do)
        """Go to the state that the config wants at the stop, with the pins still claimed; first of all when a daemon ends."""

    def close(self, keep: bool | None = None) -> None:
        """Release the pins: with `keep` as they are, without as inputs.

        None leaves outputs in the state that the config wants at the stop, as far as the pin factory can keep it; what
        cannot be brought to that state is not driven any more.
        """
        task = self._task
        if task is not None:
            task.replace()
        with self._calls:
            if self._executor is None:
                return
            rested = False
            try:
                if keep is None:
                    self.prepare_close()
                self._end_task()
                rested = True
            finally:
                self._executor.shutdown(wait=task is None or task.is_over)
                self._executor = None
                self._unwatch()
                with self._reading, hardware(self.id, "be closed"):
                    self._close(keep if rested or keep is not None else False)

    @abstractmethod
    def _open(self, factory: Any, position: Position | None) -> None:
        """Make the gpiozero objects."""

    def _opened(self) -> None:  # noqa: B027 (most have nothing to do)
        """What is left to be done when it is open."""

    @abstractmethod
    def _state(self) -> dict[str, Any]:
        """What it reads now."""

    @abstractmethod
    def _close(self, keep: bool | None) -> None:
        """Close what there is of the gpiozero objects; unless `keep` is False, the lines of outputs are left as they are."""

    @abstractmethod
    def _release(self) -> None:
        """Close what there is, also of a device that could not be opened as a whole."""

    def _undo_open(self) -> None:
        """Release what there is of a device that could not be opened as a whole."""
        self._close(False)

    def _unwatch(self) -> None:  # noqa: B027 (inputs are not watched)
        """Nothing is switched off in time any more, since it is closed."""

    def _refuse(self, method: str, arguments: dict[str, Any]) -> None:  # noqa: B027
        """Raise InvalidArgument for what the table cannot say."""

    def _rest(self, cause: str) -> None:  # noqa: B027 (inputs have nothing to do)
        """Make it safe; called with nothing running, or by the task that ends."""

    def _emit(self, name: str, data: dict[str, Any]) -> None:
        self.since = timestamps.utc_now()
        self.hooks.on_event(self.id, name, data)

    def _start(self, method: str, body: Body, expected_s: float | None) -> Task:
        """Begin a long method in the device's thread; only within a call."""
        if self._executor is None:
            raise self._not_open()
        task = Task(method, body, expected_s, lambda: self._rest("stop"))
        self._task = task
        task.start(self._executor)
        return task

    def _end_task(self, within_s: float = _LONGEST_END_S) -> None:
        """End what runs. Raises TimedOut, as every call does until it has ended."""
        if self._task is not None:
            self._task.replace()
            self._task.join(within_s)
            self._task = None

    def _not_done(self, method: str) -> Stopped:
        return Stopped(f"{self.id} was stopped before it could {method}, which was not done", value=method)

    def _check_open(self) -> None:
        if not self.is_open:
            raise self._not_open()

    def _not_open(self) -> NotConnected:
        return NotConnected(f"{self.id} is not open", value=self.id)
