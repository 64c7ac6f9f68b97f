"""The stepper motor 28BYJ-48 on a driver ULN2003: its own timed loop, its position in steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, cycle, pairwise, repeat
from typing import Any, ClassVar

import gpiozero

from observatory_common.arguments import refused
from observatory_common.errors import Uncertain
from observatory_gpiod.devices.base import DeviceConfig, Hooks, Position
from observatory_gpiod.devices.motion_types import FURTHEST_DEG
from observatory_gpiod.devices.output import Output
from observatory_gpiod.devices.task import Task

#: Which of the four coils has current in each half step; the odd ones alone are the full steps.
SEQUENCE = ((1, 0, 0, 0), (1, 1, 0, 0), (0, 1, 0, 0), (0, 1, 1, 0), (0, 0, 1, 0), (0, 0, 1, 1), (0, 0, 0, 1), (1, 0, 0, 1))
_NO_CURRENT = (0, 0, 0, 0)
_SLOWEST_S, _FASTEST_S = 0.040, 0.001
_TURNS = ("step", "step_forward", "step_backward", "rotate", "rotate_by", "rotate_right", "rotate_left")


def _by_amount(method: str) -> Callable[[Any, dict[str, Any]], Task]:
    """The function of a method that turns by an amount."""

    def turn(motor: StepperMotor, arguments: dict[str, Any]) -> Task:
        return motor.turn_by(method, arguments)

    return turn


@dataclass
class _Move:
    """What a turn came to: steps made, and how many of them more than a step late."""

    steps: int = 0
    missed: int = 0


class StepperMotor(Output):
    """Counts steps of the motor (half or full ones); everything in degrees is rounded to them.

    While the position is not certain, only moves by an amount are accepted.
    """

    OFF = _NO_CURRENT
    READINGS: ClassVar[tuple[str, ...]] = (
        *Output.READINGS,
        "position",
        "position_steps",
        "position_certain",
        "missed_deadlines",
    )

    def __init__(self, config: DeviceConfig, hooks: Hooks) -> None:
        super().__init__(config, hooks)
        given = config.parameters
        self._halves = 2 if given["mode"] == 1 else 1
        self.degrees_per_step: float = given["stride_angle"] * self._halves / given["gear_reduction"]
        self._swing_direction: int = given["swing_direction"]
        self._steps = 0
        self._phase = 0
        self._certain = True
        self._missed_deadlines = 0
        self._coils: tuple[Any, ...] = ()

    @property
    def position(self) -> Position:
        """Where the shaft is."""
        return Position(self._steps * self.degrees_per_step, self._phase, certain=self._certain)

    def _open(self, factory: Any, position: Position | None) -> None:
        self._steps, self._phase, self._certain = 0, 0, position is None or position.certain
        if position is not None and position.value is not None:
            self._steps, self._phase = self._to_steps(position.value), position.phase % len(SEQUENCE)
        elif position is not None:
            self._certain = False
        super()._open(factory, position)

    def _make(self, factory: Any, value: Any, keep: bool) -> None:
        initial = None if keep else False
        made: list[Any] = []
        try:
            for pin in self.config.pins.values():
                made.append(gpiozero.OutputDevice(pin, initial_value=initial, pin_factory=factory))
        finally:
            self._coils = tuple(made)

    def _drive(self, value: Any) -> None:
        for coil, level in zip(self._coils, value, strict=True):
            if coil.value != level:
                coil.value = level

    def _read(self) -> Any:
        return tuple(int(coil.value) for coil in self._coils)

    def _plain(self, value: Any) -> Any:
        return list(value)

    def _release(self) -> None:
        coils, self._coils = self._coils, ()
        with ExitStack() as each:  # although one cannot be closed
            for coil in coils:
                each.callback(coil.close)

    def _put_off(self) -> bool:
        for coil in self._coils:
            coil.off()
        return True

    def _state(self) -> dict[str, Any]:
        return super()._state() | {
            "position": self._steps * self.degrees_per_step,
            "position_steps": self._steps,
            "position_certain": self._certain,
            "missed_deadlines": self._missed_deadlines,
        }

    def _rest(self, cause: str) -> None:
        """It stays where it is, held by the coils or by the gear."""

    def _to_steps(self, degrees: float) -> int:
        return round(degrees / self.degrees_per_step)

    def _refuse(self, method: str, arguments: dict[str, Any]) -> None:
        if method in ("rotate_to", "swing", "wipe") and not self._certain:
            raise Uncertain(
                f"{self.id} cannot {method}: its position is uncertain; turn it to its mark, then call zero or set_position",
                value=method,
                allowed="rotate, step, zero, set_position",
            )
        if method == "wipe" and arguments["count"] == 0:
            start, end = arguments["angle_from"], arguments["angle_to"]
            if self._to_steps(start) == self._to_steps(end):  # without a step nothing is waited for, forever
                raise refused(
                    "angle_to", end, f"a step ({self.degrees_per_step:g} degrees) or more from angle_from ({start:g})"
                )
        by = self._amount(method, arguments)
        furthest = self._to_steps(FURTHEST_DEG)
        if by is not None and abs(self._steps + by) > furthest:
            raise refused(
                method, arguments, f"what ends within {FURTHEST_DEG:g} degrees (now {self._steps * self.degrees_per_step:g})"
            )

    def _amount(self, method: str, arguments: dict[str, Any]) -> int | None:
        """By how many steps a method turns, None if it is no turn by an amount."""
        sign = -1 if method in ("step_backward", "rotate_left") else 1
        if "steps" in arguments:
            return sign * int(arguments["steps"]) * int(self.config.parameters["gear_reduction"])
        if method in _TURNS:
            return sign * self._to_steps(arguments["angle"])
        return None

    def _interval_s(self, speed: float) -> float:
        return (_SLOWEST_S + speed * (_FASTEST_S - _SLOWEST_S)) * self._halves

    def turn_by(self, method: str, arguments: dict[str, Any]) -> Task:
        """Turn by an amount: what `call` does for each of these methods, whose arguments are checked."""
        return self._go(method, self._steps + (self._amount(method, arguments) or 0))

    def _rotate_to(self, arguments: dict[str, Any]) -> Task:
        return self._go("rotate_to", self._to_steps(arguments["target"]))

    def _swing(self, _arguments: dict[str, Any]) -> Task:
        """One swing_step on; what would be beyond an end is turned back from it."""
        given = self.config.parameters
        low, high = self._to_steps(given["swing_from"]), self._to_steps(given["swing_to"])
        target = self._steps + self._swing_direction * self._to_steps(given["swing_step"])
        if low <= target <= high:
            return self._go("swing", target)
        end = high if target > high else low
        self._swing_direction = -1 if target > high else 1
        return self._go("swing", end, min(max(2 * end - target, low), high))

    def _wipe(self, arguments: dict[str, Any]) -> Task:
        start, end = self._to_steps(arguments["angle_from"]), self._to_steps(arguments["angle_to"])
        count, speed, here = arguments["count"], arguments["speed"], self._steps
        if count == 0:
            return self._move("wipe", chain([start], cycle([end, start])), max(start, end, key=abs), None, speed)
        total = 2 * abs(start - here) + 2 * count * abs(end - start)
        wipes = repeat([end, start], count if end != start else 0)  # a million times nowhere would keep others waiting
        targets = chain([start], chain.from_iterable(wipes), [here])
        return self._move("wipe", targets, here, total, speed)

    def _set_position(self, arguments: dict[str, Any]) -> None:
        self._name_position("set_position", self._to_steps(arguments["angle"]))

    def _zero(self, _arguments: dict[str, Any]) -> None:
        self._name_position("zero", 0)

    def _off(self, _arguments: dict[str, Any]) -> None:
        self._set(_NO_CURRENT, "off")

    def _name_position(self, cause: str, steps: int) -> None:
        self._steps, self._certain = steps, True
        self.hooks.on_position(self.id, self.position)
        self._emit("changed", {"value": self._plain(self._read()), "active": self._is_active(self._read()), "cause": cause})

    def _go(self, method: str, *targets: int) -> Task:
        """Turn to one target after the other, at the speed of the config."""
        total = sum(abs(b - a) for a, b in pairwise((self._steps, *targets)))
        return self._move(method, targets, targets[-1], total, self.config.parameters["speed"])

    def _move(self, method: str, targets: Iterable[int], far: int, total: int | None, speed: float) -> Task:
        """Turn to one target after the other, each taken when its turn comes: there may be millions, or no end of them.

        It is told to go to `far`. `total` is how many steps that takes, None if it goes on until it is stopped.
        """
        interval_s = self._interval_s(speed)
        self.hooks.on_moving(self.id, self.position, Position(far * self.degrees_per_step, certain=self._certain))
        self._emit("moving", {"angle": self.position.value, "target": far * self.degrees_per_step})

        def turn(task: Task) -> dict[str, Any]:
            made = _Move()
            outcome = "failed"
            try:
                for target in targets:
                    if task.stopping:
                        break
                    self._turn(task, target, interval_s, made, total)
                outcome = "stopped" if task.stopping else "arrived"
            finally:
                if outcome == "failed":  # perhaps a step was made, perhaps not
                    self._certain = False
                self.hooks.on_position(self.id, self.position)
                result = self._moved(made, outcome)
            return result

        return self._start(method, turn, None if total is None else total * interval_s)

    def _moved(self, made: _Move, outcome: str) -> dict[str, Any]:
        result = {
            "angle": self.position.value,
            "position_steps": self._steps,
            "outcome": outcome,
            "missed_deadlines": made.missed,
        }
        self._emit("moved", result)
        return result

    def _turn(self, task: Task, target: int, interval_s: float, made: _Move, total: int | None) -> None:
        """Step to a target on absolute deadlines; a motor cannot catch up, so what is late stays late."""
        direction = 1 if target > self._steps else -1
        deadline_s = time.monotonic()
        while self._steps != target and not task.stopping:
            self._step(direction)
            made.steps += 1
            if total:
                task.progress = made.steps / total
            deadline_s += interval_s
            now_s = time.monotonic()
            if now_s > deadline_s + interval_s:
                made.missed += 1
                self._missed_deadlines += 1
                deadline_s = now_s
            if task.wait_until(deadline_s):
                return

    def _step(self, direction: int) -> None:
        phase = (self._phase + direction * self._halves) % len(SEQUENCE)
        if self._halves == 2 and phase % 2 == 0:
            phase = (phase + direction) % len(SEQUENCE)  # full steps are the odd ones; the first may be a half one
        self._set(SEQUENCE[phase], "step", told=False)
        self._phase = phase
        self._steps += direction

    METHODS: ClassVar[Mapping[str, Callable[[Any, dict[str, Any]], Task | None]]] = {
        **{name: _by_amount(name) for name in _TURNS},
        "rotate_to": _rotate_to,
        "swing": _swing,
        "wipe": _wipe,
        "off": _off,
        "set_position": _set_position,
        "zero": _zero,
    }
