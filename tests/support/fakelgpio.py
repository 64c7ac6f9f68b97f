"""A stand-in for the lgpio library, which works on a Raspberry Pi only."""

from __future__ import annotations

import types
from typing import Any


class FakeLgpio(types.ModuleType):
    """The part of lgpio that is used, with what is behind it: lines that keep their level while nobody has them.

    As the real one, it claims as an input what it reads unclaimed, and takes no notice of a second claim as an output.
    """

    error = type("error", (Exception,), {})
    SET_PULL_NONE, SET_PULL_UP, SET_PULL_DOWN = 128, 32, 64
    RISING_EDGE, FALLING_EDGE, BOTH_EDGES = 1, 2, 3

    def __init__(self, labels: dict[int, str]) -> None:
        super().__init__("lgpio")
        self.labels = labels
        self.open: dict[int, int] = {}
        self.levels: dict[int, int] = {}
        self.outputs: set[int] = set()
        self.claimed: dict[int, str] = {}
        self.calls: list[tuple[Any, ...]] = []
        self.callbacks: dict[int, Any] = {}

    def gpiochip_open(self, number: int) -> int:
        if number not in self.labels:
            raise self.error("can not open gpiochip")
        handle = 100 + number
        self.open[handle] = number
        return handle

    def gpiochip_close(self, handle: int) -> None:
        del self.open[handle]
        self.claimed.clear()

    def gpio_get_chip_info(self, handle: int) -> list[Any]:
        return [0, 54, "gpiochip", self.labels[self.open[handle]]]

    def gpio_get_mode(self, _handle: int, gpio: int) -> int:
        return 2 if gpio in self.outputs else 0

    def gpio_claim_input(self, _handle: int, gpio: int, flags: int = 0) -> None:
        self.calls.append(("input", gpio, flags))
        self.outputs.discard(gpio)
        self.claimed[gpio] = "input"

    def gpio_claim_output(self, _handle: int, gpio: int, level: int = 0, _flags: int = 0) -> None:
        self.calls.append(("output", gpio, level))
        if self.claimed.get(gpio) != "output":
            self.outputs.add(gpio)
            self.claimed[gpio] = "output"
            self.levels[gpio] = level

    def gpio_claim_alert(self, _handle: int, gpio: int, edges: int, flags: int = 0) -> None:
        self.calls.append(("alert", gpio, edges, flags))
        self.claimed[gpio] = "input"

    def gpio_free(self, _handle: int, gpio: int) -> None:
        self.calls.append(("free", gpio))
        self.claimed.pop(gpio, None)

    def gpio_read(self, handle: int, gpio: int) -> int:
        if gpio not in self.claimed:
            self.gpio_claim_input(handle, gpio)
        return self.levels.get(gpio, 0)

    def gpio_write(self, _handle: int, gpio: int, level: int) -> None:
        self.calls.append(("write", gpio, level))
        self.levels[gpio] = level

    def tx_pwm(self, _handle: int, gpio: int, frequency: float, duty: float) -> None:
        self.calls.append(("pwm", gpio, frequency, duty))

    def gpio_set_debounce_micros(self, _handle: int, gpio: int, micros: int) -> None:
        self.calls.append(("debounce", gpio, micros))

    def callback(self, _handle: int, gpio: int, _edges: int, function: Any) -> Any:
        self.callbacks[gpio] = function
        return types.SimpleNamespace(cancel=lambda: self.callbacks.pop(gpio))
