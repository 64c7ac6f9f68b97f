"""gpiozero's lgpio factory, changed where it drops what a line drives, or an edge.

Importing this imports the lgpio library, which comes with Raspberry Pi OS.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lgpio
from gpiozero.exc import PinFixedPull, PinInvalidEdges, PinInvalidFunction, PinInvalidPull, PinPWMFixedValue, PinSetInput
from gpiozero.pins.lgpio import LGPIOFactory, LGPIOPin
from gpiozero.pins.local import LocalPiPin

from observatory_common.errors import NotConnected
from observatory_gpiod.factories.edges import Edge, EdgeWatch, Watches
from observatory_gpiod.factories.line_level import read_level

log = logging.getLogger("pins")

#: The labels of the chips that have the header's pins: of a Pi 5, of a Pi 4, of those before.
LABELS = ("pinctrl-rp1", "pinctrl-bcm2711", "pinctrl-bcm2835")
_WATCHDOG_LEVEL = 2


def find_chip(devices: Path = Path("/dev"), labels: Sequence[str] = LABELS) -> int:
    """The number of the chip that has the header's pins, by the first label that one has: numbers change with the kernel.

    Raises NotConnected, naming the chips that were found.
    """
    found: dict[str, int] = {}
    refused: list[str] = []
    for path in sorted(devices.glob("gpiochip*")):
        try:
            number = int(path.name.removeprefix("gpiochip"))
            handle = lgpio.gpiochip_open(number)
        except (ValueError, lgpio.error) as error:
            refused.append(f"{path.name}: {error}")
            continue
        try:
            found[lgpio.gpio_get_chip_info(handle)[3]] = number
        finally:
            lgpio.gpiochip_close(handle)
    for label in labels:
        if label in found:
            return found[label]
    seen = ", ".join([*(f"gpiochip{number}: {label}" for label, number in found.items()), *refused]) or "none"
    raise NotConnected(f"no GPIO chip is labelled {' or '.join(labels)}; found {seen}", value=seen)


class KeepingLGPIOFactory(LGPIOFactory):  # type: ignore[misc]
    """The pins of a chip by lgpio. Its lines are claimed when they get a function, outputs at the level that they have.

    `chip` None finds it by `label`, else by one of LABELS. Raises NotConnected, or lgpio.error.
    """

    can_keep = True
    lost = None

    def __init__(self, chip: int | None = None, label: str | None = None, devices: Path = Path("/dev")) -> None:
        number = find_chip(devices, LABELS if label is None else (label,)) if chip is None else chip
        super().__init__(chip=number)
        self.pin_class = KeepingLGPIOPin
        self.chip_path = devices / f"gpiochip{number}"

    def edges(self, pin: int | str, callback: Callable[[Edge], None]) -> EdgeWatch:
        """Have every edge of an input passed on. `lost` counts levels that came twice: at least so many were lost."""
        watching: EdgeWatch = self.pin(pin).watches.add(callback)
        return watching

    def close(self, keep: bool = False) -> None:
        """Close all pins and the chip. With `keep` driven lines are not touched, only freed: the kernel may hold them."""
        for pin in self.pins.values():
            pin.keep = pin.keep or keep
        super().close()


class KeepingLGPIOPin(LGPIOPin):  # type: ignore[misc]
    """One line. Making it claims nothing; outputs are claimed with the level that they have, and closed as `keep` says.

    `keep` stands until the line gets a function anew, so that the factory's close does not undo what the device's left.
    Other than with gpiozero's, alerts survive a change of function (LightSensor changes it all the time), PWM begins at
    the level that there is, and its duty is as fine as lgpio can make it, not in whole per cents.
    """

    def __init__(self, factory: KeepingLGPIOFactory, info: Any) -> None:
        LocalPiPin.__init__(self, factory, info)  # not LGPIOPin's, which claims the line as an input
        self.keep = False
        self.watches = Watches(self._request_edges)
        self._claimed: str | None = None
        self._pwm: tuple[float, float] | None = None
        self._bounce: int | None = None
        self._callback: Any = None
        self._alerting = False
        self._fires = False
        self._edges = lgpio.BOTH_EDGES
        self._last_level: int | None = None

    def close(self) -> None:
        """Make the line an input; with `keep` leave it claimed and driven, until the factory is closed."""
        if self.factory._handle is None:
            return
        self.when_changed = None
        if self._claimed is not None and not self.keep:
            self._stop_pwm()
            self._claim_input(lgpio.SET_PULL_NONE)

    def output_with_state(self, state: float) -> None:
        """Drive the line at a level at once, without one that is not meant in between."""
        self.keep = False
        self._claim_output(bool(state))

    def input_with_pull(self, pull: str) -> None:
        """Make it an input with this pull at once. Raises PinFixedPull, PinInvalidPull."""
        self.keep = False
        self._claim_input(self._pull_flag(pull))

    def _level(self) -> bool:
        """The level, without claiming the line for it."""
        if self._claimed is None:
            return read_level(self.factory.chip_path, self._number)
        return bool(lgpio.gpio_read(self.factory._handle, self._number))

    def _claim_output(self, level: bool) -> None:
        if self._claimed == "output":  # lgpio would take no notice of the level
            self._stop_pwm()
            lgpio.gpio_write(self.factory._handle, self._number, int(level))
            return
        self._cancel()
        lgpio.gpio_claim_output(self.factory._handle, self._number, int(level))
        self._claimed = "output"

    def _claim_input(self, flags: int) -> None:
        self._cancel()
        if self._claimed == "input":  # lgpio takes no notice of new flags, unless the line is freed
            lgpio.gpio_free(self.factory._handle, self._number)
        lgpio.gpio_claim_input(self.factory._handle, self._number, flags)
        self._claimed, self._pwm = "input", None
        self._request_edges()

    def _pull_flag(self, pull: str) -> int:
        flags = {"up": lgpio.SET_PULL_UP, "down": lgpio.SET_PULL_DOWN, "floating": lgpio.SET_PULL_NONE}
        if pull not in flags:
            raise PinInvalidPull(f"pull {pull!r} of {self!r} is not one of {', '.join(flags)}")
        if self.info.pull not in (pull, ""):
            raise PinFixedPull(f"{self!r} has a physical pull-{self.info.pull} resistor")
        return int(flags[pull])

    def _line_flags(self) -> int:
        """What the line has of pulls and the like, to be claimed with again."""
        return int(lgpio.gpio_get_mode(self.factory._handle, self._number) & self.GPIO_LINE_FLAGS_MASK)

    # edges

    def _cancel(self) -> None:
        if self._callback is not None:
            self._callback.cancel()
            self._callback = None
        self._alerting = False

    def _request_edges(self) -> None:
        if self._claimed != "input" or self.factory._handle is None:
            return
        alerting = self._alerting
        self._cancel()
        if self.watches or self._fires:
            edges = lgpio.BOTH_EDGES if self.watches else self._edges
            self._last_level = None
            lgpio.gpio_claim_alert(self.factory._handle, self._number, edges, self._line_flags())
            self._callback = lgpio.callback(self.factory._handle, self._number, edges, self._alert)
            self._alerting = True
        elif alerting:
            flags = self._line_flags()
            lgpio.gpio_free(self.factory._handle, self._number)
            lgpio.gpio_claim_input(self.factory._handle, self._number, flags)

    def _alert(self, _chip: int, _gpio: int, level: int, at_ns: int) -> None:
        """In lgpio's thread."""
        if level == _WATCHDOG_LEVEL:
            return
        lost = 0
        if self.watches:  # both edges are reported then, so a level that comes twice had another in between
            lost = int(level == self._last_level)
            self._last_level = level
            self.watches.tell(Edge(self._number, at_ns, level, lost))
        wanted = (lgpio.BOTH_EDGES, lgpio.RISING_EDGE if level else lgpio.FALLING_EDGE)
        reference = self._when_changed
        handler = reference() if self._fires and self._edges in wanted and reference is not None else None
        if handler is not None:
            handler(at_ns / 1e9, level)

    def _enable_event_detect(self) -> None:
        self._fires = True
        self._request_edges()

    def _disable_event_detect(self) -> None:
        self._fires = False
        self._request_edges()

    def _set_edges(self, value: str) -> None:
        if value not in self.GPIO_EDGES:
            raise PinInvalidEdges(f"edges {value!r} of {self!r} are not one of {', '.join(self.GPIO_EDGES)}")
        self._edges = self.GPIO_EDGES[value]
        self._request_edges()

    # function, level, PWM

    def _set_function(self, value: str) -> None:
        self.keep = False
        if value == "output":
            if self._claimed != "output":
                self._claim_output(self._level())
        elif value == "input":
            if self._claimed != "input":
                self._claim_input(0)  # the pull stays
        else:
            raise PinInvalidFunction(f"function {value!r} of {self!r} is not input or output")

    def _get_state(self) -> float:
        return self._pwm[1] / 100 if self._pwm else self._level()

    def _set_state(self, value: float) -> None:
        if self._claimed != "output":
            raise PinSetInput(f"cannot set the state of {self!r}, which is no output")
        if self._pwm:
            self._set_pwm(self._pwm[0], value * 100)
        else:
            lgpio.gpio_write(self.factory._handle, self._number, int(bool(value)))

    def _set_pull(self, value: str) -> None:
        if self.function != "input":
            raise PinFixedPull(f"cannot set the pull of {self!r}, which is an output")
        self._claim_input(self._pull_flag(value))

    def _set_frequency(self, value: float | None) -> None:
        if not value:
            if not self.keep:  # kept pulses go on, until the factory is closed
                self._stop_pwm()
        elif self._claimed != "output":
            raise PinPWMFixedValue(f"cannot start PWM on {self!r}, which is no output")
        else:
            self._set_pwm(value, self._pwm[1] if self._pwm else 100 * self._level())

    def _set_pwm(self, frequency_hz: float, duty_percent: float) -> None:
        lgpio.tx_pwm(self.factory._handle, self._number, frequency_hz, duty_percent)
        self._pwm = (frequency_hz, duty_percent)

    def _stop_pwm(self) -> None:
        if self._pwm and self.factory._handle is not None:
            lgpio.tx_pwm(self.factory._handle, self._number, 0, 0)
        self._pwm = None
