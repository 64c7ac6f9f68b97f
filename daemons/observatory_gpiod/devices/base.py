"""What all devices have in common: state, calls from the table, one long method at a time, events."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeGuard

from observatory_common import timestamps
from observatory_common.errors import CommandFailed, NotConnected, ObservatoryError
from observatory_gpiod.devices.description import DeviceType
from observatory_gpiod.devices.table import TYPES, checked
from observatory_gpiod.devices.task import Body, Task

_LONGEST_END_S = 5.0


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
    """Turn what gpiozero and the system raise into CommandFailed; our own errors pass."""
    from gpiozero.exc import GPIOZeroError

    try:
        yield
    except ObservatoryError:
        raise
    except (GPIOZeroError, OSError) as error:
        raise CommandFailed(f"{device} could not {doing}: {error}", value=device) from error


class Device(ABC):
    """One device. Its methods may be called from any thread."""

    #: Each method of the table, bound to the function that does it; nothing else can be called.
    METHODS: ClassVar[Mapping[str, Callable[[Any, dict[str, Any]], Task | None]]] = {}

    def __init__(self, config: DeviceConfig, hooks: Hooks) -> None:
        self.config = config
        self.hooks = hooks
        self.type: DeviceType = TYPES[config.type]
        self.since: str | None = None
        self._calls = threading.RLock()  # one call at a time; the running task never takes it
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
                    self._release()
            self._executor = ThreadPoolExecutor(1, f"gpio {self.id}")
            self.since = timestamps.utc_now()
            self._opened()

    def state(self) -> dict[str, Any]:
        """What it is, and what it reads now. Raises NotConnected if it is not open."""
        self._check_open()
        task = self.task
        with hardware(self.id, "be read"):
            reading = self._state()
        return {
            "type": self.config.type,
            "label": self.config.label,
            "since": self.since,
            "running": None if task is None else task.method,
            **reading,
        }

    def describe(self) -> dict[str, Any]:
        """The type's description, with the ranges as they are for this device."""
        return self.type.described(self.config.parameters) | {"id": self.id, "label": self.config.label}

    def call(self, method: str, arguments: dict[str, Any]) -> Task | None:
        """Do a method of the table: a task if it goes on after the return, else None.

        What runs is ended first. Raises UnknownMethod, InvalidArgument (before anything moves), NotConnected.
        """
        complete = checked(self.type, method, arguments, self.config.parameters)
        self._refuse(method, complete)
        if method == "stop":
            self.stop()
            return None
        with self._calls:
            self._check_open()
            self._end_task()
            return self.METHODS[method](self, complete)

    def stop(self) -> None:
        """End what runs, and leave the device safe: off, or where it is. Overtakes every other call."""
        task = self._task
        if task is not None:
            task.replace()
        with self._calls:
            self._check_open()
            self._end_task()
            self._rest("stop")

    def prepare_close(self) -> None:  # noqa: B027 (inputs have nothing to do)
        """Go to the state that the config wants at the stop, with the pins still claimed; first of all when a daemon ends."""

    def close(self, keep: bool | None = None) -> None:
        """Release the pins; `keep` leaves them as they are, None does what the config wants at the stop."""
        task = self._task
        if task is not None:
            task.replace()
        with self._calls:
            if self._executor is None:
                return
            stuck = True
            try:
                self._end_task()
                stuck = False
                if keep is None:
                    self.prepare_close()
            finally:
                self._executor.shutdown(wait=not stuck)
                self._executor = None
                with hardware(self.id, "be closed"):
                    self._close(self.config.on_stop == "keep" if keep is None else keep)

    @abstractmethod
    def _open(self, factory: Any, position: Position | None) -> None:
        """Make the gpiozero objects."""

    def _opened(self) -> None:  # noqa: B027 (most have nothing to do)
        """What is left to be done when it is open."""

    @abstractmethod
    def _state(self) -> dict[str, Any]:
        """What it reads now."""

    @abstractmethod
    def _close(self, keep: bool) -> None:
        """Close the gpiozero objects, with `keep` leaving the lines as they are."""

    @abstractmethod
    def _release(self) -> None:
        """Close what there is, also of a device that could not be opened as a whole."""

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

    def _end_task(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.replace()
            task.join(_LONGEST_END_S)

    def _check_open(self) -> None:
        if not self.is_open:
            raise self._not_open()

    def _not_open(self) -> NotConnected:
        return NotConnected(f"{self.id} is not open", value=self.id)
