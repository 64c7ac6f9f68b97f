"""A pin factory for gpiozero whose pins are the lines of a simulated board."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gpiozero.exc import (
    GPIOZeroError,
    PinFixedPull,
    PinInvalidBounce,
    PinInvalidEdges,
    PinInvalidFunction,
    PinInvalidPull,
    PinInvalidState,
    PinPWMFixedValue,
    PinSetInput,
    PinSPIUnsupported,
)
from gpiozero.pins.pi import PiFactory, PiPin

from observatory_common.errors import ObservatoryError
from observatory_gpiod.factories.edges import Edge, EdgeWatch, Watches
from observatory_gpiod.factories.link import BoardLink, Report

log = logging.getLogger("pins")

#: A Raspberry Pi 4 B, for the names of its pins.
_REVISION = 0xC03111
_POWER_ON_PULL_UP = range(9)


class SimulatedFactory(PiFactory):  # type: ignore[misc]
    """The pins of the board at `socket`. Raises NotConnected if it does not answer.

    Each call is answered within `timeout_s`, or raises DeviceLost, as every call does from then on; `lost` says why.
    `name` is who the board shows as the owner of the lines.
    """

    can_keep = True

    def __init__(self, socket: Path, *, name: str = "gpiod", timeout_s: float = 2.0) -> None:
        super().__init__()
        self.pin_class = SimulatedPin
        self.link = BoardLink(socket, name, timeout_s, self._hand_out)

    @property
    def lost(self) -> str | None:
        """Why the board is out of reach; None while it is not."""
        return self.link.lost

    def edges(self, pin: int | str, callback: Callable[[Edge], None]) -> EdgeWatch:
        """Have every edge of an input passed on, debounced if its device is. Close the watch before its device."""
        watching: EdgeWatch = self.pin(pin).watches.add(callback)
        return watching

    def close(self, keep: bool = False) -> None:
        """Close all pins and the connection. With `keep` driven lines are not touched, only freed."""
        for pin in self.pins.values():
            pin.keep = pin.keep or keep
        try:
            super().close()
        finally:
            self.link.close()

    def ticks(self) -> float:
        """Seconds of CLOCK_MONOTONIC, the board's clock."""
        return time.monotonic()

    def ticks_diff(self, later: float, earlier: float) -> float:
        """Seconds between."""
        return later - earlier

    def spi(self, **spi_args: Any) -> Any:
        """There is none. Raises PinSPIUnsupported."""
        raise PinSPIUnsupported("the simulated board has no SPI")

    def _get_revision(self) -> int:
        return _REVISION

    def _hand_out(self, reports: list[Report]) -> None:
        """In the link's thread."""
        by_number = {pin.line: pin for pin in tuple(self.pins.values())}
        for number, at_ns, level, count in reports:
            pin = by_number.get(number)
            if pin is None:
                continue
            try:
                pin.report(at_ns, level, count)
            except (GPIOZeroError, ObservatoryError):
                log.exception("the handling of an edge on %r failed", pin)


class SimulatedPin(PiPin):  # type: ignore[misc]
    """One line. Making it asks nothing: the line is claimed when it gets a function, an output at the level that it has.

    `keep`: closing leaves the line driven as it is, as far as the kernel holds freed lines; it stands until the line gets
    a function anew.
    """

    def __init__(self, factory: SimulatedFactory, info: Any) -> None:
        super().__init__(factory, info)
        self.line: int = self._number
        self.keep = False
        self._link = factory.link
        self._claimed: str | None = None
        self._pwm: tuple[float, float] | None = None
        self._bounce_s: float | None = None
        self._edges = "both"
        self._fires = False
        self.watches = Watches(self._request_edges)
        self._count = 0

    def close(self) -> None:
        """Give the line back: as an input with the pull of a board just switched on, or with `keep` as it is."""
        if self._link.lost is None:
            self.when_changed = None
            if self._claimed is not None:
                if not self.keep:
                    up = self.info.pull == "up" or self.line in _POWER_ON_PULL_UP
                    self._call("claim", function="input", pull="up" if up else "down")
                self._call("release")
        self._claimed = self._pwm = None

    def output_with_state(self, state: float) -> None:
        """Drive the line at a level at once, without one that is not meant in between."""
        self._claim_output(self._level_of(state))

    def input_with_pull(self, pull: str) -> None:
        """Make it an input with this pull at once. Raises PinFixedPull, PinInvalidPull."""
        self._check_pull(pull)
        self._claim_input(pull)

    def report(self, at_ns: int, level: int | None, count: int) -> None:
        """An edge; `count` is its number on this line, a gap in which is a loss."""
        lost = count - self._count - (level is not None)
        self._count = count
        if lost:
            log.warning("%d edges on %r were lost", lost, self)
        self.watches.tell(Edge(self.line, at_ns, level, lost))
        if level is not None and self._fires and self._edges in ("both", "rising" if level else "falling"):
            self._call_when_changed(at_ns / 1e9, level)

    def _call(self, operation: str, **details: Any) -> dict[str, Any]:
        return self._link.call(**{operation: self.line}, **details)

    def _call_when_changed(self, ticks: float, state: int) -> None:
        """Without a lock: a handler that takes its time must not hold up who closes the device."""
        reference = self._when_changed
        if reference is not None:
            handler = reference()
            if handler is None:
                self.when_changed = None
            else:
                handler(ticks, state)

    def _request_edges(self) -> None:
        """Have the board report what anybody wants to know."""
        if self._claimed is None or self._link.lost is not None:
            return
        if self.watches or self._fires:
            edges = "both" if self.watches else self._edges
            self._call("watch", edges=edges, bounce_s=self._bounce_s or 0)
        else:
            self._call("unwatch")

    def _claim_input(self, pull: str | None) -> None:
        is_new = self._claimed is None
        self._call("claim", function="input", pull=pull)
        self.keep = False
        self._claimed, self._pwm = "input", None
        if is_new:
            self._request_edges()

    def _claim_output(self, level: bool | None) -> None:
        self._call("claim", function="output", level=level)
        self.keep = False
        self._claimed, self._pwm = "output", None

    def _level_of(self, state: float) -> bool:
        if not 0 <= state <= 1:
            raise PinInvalidState(f"state {state!r} of {self!r} is not from 0 to 1")
        return bool(state)

    def _check_pull(self, pull: str) -> None:
        if pull not in ("up", "down", "floating"):
            raise PinInvalidPull(f"pull {pull!r} of {self!r} is not one of up, down, floating")
        if self.info.pull not in (pull, ""):
            raise PinFixedPull(f"{self!r} has a physical pull-{self.info.pull} resistor")

    # gpiozero's properties

    def _get_function(self) -> str:
        return self._claimed or str(self._call("read")["function"])

    def _set_function(self, value: str) -> None:
        if value == "input":
            self._claim_input(None)
        elif value == "output":
            self._claim_output(None)
        else:
            raise PinInvalidFunction(f"function {value!r} of {self!r} is not input or output")

    def _get_state(self) -> float:
        return self._pwm[1] if self._pwm else bool(self._call("read")["level"])

    def _set_state(self, value: float) -> None:
        if self._claimed != "output":
            raise PinSetInput(f"cannot set the state of {self!r}, which is an input")
        level = self._level_of(value)
        if self._pwm:
            self._set_pwm(self._pwm[0], float(value))
        else:
            self._call("write", level=level)

    def _get_pull(self) -> str:
        return str(self._call("read")["pull"])

    def _set_pull(self, value: str) -> None:
        if self.function != "input":
            raise PinFixedPull(f"cannot set the pull of {self!r}, which is an output")
        self._check_pull(value)
        self._claim_input(value)

    def _get_frequency(self) -> float | None:
        return self._pwm[0] if self._pwm else None

    def _set_frequency(self, value: float | None) -> None:
        """Pulses begin with the duty that keeps the level, not with gpiozero's 0, and end low unless the line is kept."""
        if not value:
            if self._pwm is not None and self._link.lost is None and not self.keep:
                self._call("pwm", frequency_hz=None)
            self._pwm = None
        elif self._claimed != "output":
            raise PinPWMFixedValue(f"cannot start PWM on {self!r}, which is an input")
        else:
            self._set_pwm(value, self._pwm[1] if self._pwm else float(self._get_state()))

    def _set_pwm(self, frequency_hz: float, duty: float) -> None:
        self._call("pwm", frequency_hz=float(frequency_hz), duty=duty)
        self._pwm = (frequency_hz, duty)

    def _get_bounce(self) -> float | None:
        return self._bounce_s

    def _set_bounce(self, value: float | None) -> None:
        if value is not None and not 0 <= value <= 60:
            raise PinInvalidBounce(f"bounce time {value!r} of {self!r} is not from 0 to 60 s")
        self._bounce_s = value or None
        self._request_edges()

    def _get_edges(self) -> str:
        return self._edges

    def _set_edges(self, value: str) -> None:
        if value not in ("both", "rising", "falling"):
            raise PinInvalidEdges(f"edges {value!r} of {self!r} are not one of both, rising, falling")
        self._edges = value
        self._request_edges()

    def _enable_event_detect(self) -> None:
        self._fires = True
        self._request_edges()

    def _disable_event_detect(self) -> None:
        self._fires = False
        self._request_edges()
