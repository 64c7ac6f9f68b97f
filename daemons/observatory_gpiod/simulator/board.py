"""The board: lines, what is wired to them, and what requests from outside do to them."""

from __future__ import annotations

from typing import Any, TypeVar

from observatory_common import arguments
from observatory_common.errors import InvalidArgument
from observatory_gpiod.simulator.config import TYPES, BoardConfig
from observatory_gpiod.simulator.instruments import Encoder
from observatory_gpiod.simulator.lines import PINS, Lines
from observatory_gpiod.simulator.timeline import NS, Timeline
from observatory_gpiod.simulator.wires import Scheduled, Wire, nanoseconds

_W = TypeVar("_W", bound=Wire)

#: The most entries of the history in one answer.
MOST_CHANGES = 10_000
#: What requests may name, by the key that says what is wanted.
REQUESTS = ("query", "set", "press", "toggle", "turn", "adjust", "fault")
QUERIES = ("state", "history")


def pin_number(name: str, value: Any) -> int:
    """`value` if it is the number of a line. Raises InvalidArgument."""
    return arguments.whole_number(name, value, PINS.start, PINS.stop - 1)


class Board:
    """Pure: time is passed in, as nanoseconds of CLOCK_MONOTONIC."""

    def __init__(self, config: BoardConfig) -> None:
        self.timeline = Timeline()
        self.lines = Lines(config.history)
        self.holds_released = config.holds_released
        self.wires: list[Wire] = [TYPES[data["type"]][0](data, self.lines, self.timeline) for data in config.wiring]

    def start(self, now_ns: int) -> None:
        """Switch on."""
        for wire in self.wires:
            wire.start(now_ns)

    def request(self, wanted: dict[str, Any], now_ns: int) -> dict[str, Any]:
        """Answer one request. Raises InvalidArgument."""
        query = wanted.get("query")
        if query is not None:
            arguments.choice("query", query, QUERIES)
            return self._state(now_ns) if query == "state" else self._history(wanted)
        if "set" in wanted:
            pin, level = pin_number("set", wanted["set"]), wanted.get("level")
            self.lines.force(pin, None if level is None else arguments.flag("level", level), now_ns)
        elif "press" in wanted:
            self._press(pin_number("press", wanted["press"]), wanted.get("for_s", 0.2), now_ns)
        elif "toggle" in wanted:
            self._toggle(pin_number("toggle", wanted["toggle"]), wanted, now_ns)
        elif "turn" in wanted:
            wire = self._wired(pin_number("turn", wanted["turn"]), Encoder)
            wire.turn(arguments.whole_number("steps", wanted.get("steps", 1), -1000, 1000), now_ns)
        elif "adjust" in wanted:
            self._adjust(pin_number("adjust", wanted["adjust"]), wanted, now_ns)
        else:
            raise InvalidArgument(f"a request has one of {', '.join(REQUESTS)}, not {arguments.shown(sorted(wanted))}")
        return {}

    def _wired(self, pin: int, kind: type[_W]) -> _W:
        for wire in self.wires:
            if pin in wire.pins() and isinstance(wire, kind):
                return wire
        raise InvalidArgument(f"nothing that can do this is wired to line {pin}", value=pin)

    def _press(self, pin: int, for_s: Any, now_ns: int) -> None:
        """Something of a schedule acts now; on a bare line, somebody touches ground with it."""
        for_ns = nanoseconds(arguments.number("for_s", for_s, 0.000_001, 3600))
        for wire in self.wires:
            if isinstance(wire, Scheduled) and pin in wire.pins():
                wire.act(now_ns, for_ns)
                return
        self.lines.force(pin, False, now_ns)
        self.timeline.at(now_ns + for_ns, lambda ends_ns: self.lines.force(pin, None, ends_ns))

    def _toggle(self, pin: int, wanted: dict[str, Any], now_ns: int) -> None:
        """So many edges at even distances; the line then stays forced."""
        edges = arguments.whole_number("edges", wanted.get("edges"), 1, 100_000)
        period_ns = round(NS / arguments.number("per_second", wanted.get("per_second", 1000), 0.01, 100_000))

        def toggle(at_ns: int, left: int) -> None:
            self.lines.force(pin, not self.lines[pin].level, at_ns)
            if left > 1:
                self.timeline.at(at_ns + period_ns, lambda then_ns: toggle(then_ns, left - 1))

        toggle(now_ns, edges)

    def _adjust(self, pin: int, wanted: dict[str, Any], now_ns: int) -> None:
        values = {key: value for key, value in wanted.items() if key != "adjust"}
        if len(values) != 1:
            raise InvalidArgument("adjust needs one value, as distance_cm or light", value=arguments.shown(wanted))
        ((what, value),) = values.items()
        self._wired(pin, Wire).adjust(what, value, now_ns)

    def _history(self, wanted: dict[str, Any]) -> dict[str, Any]:
        pin = None if wanted.get("pin") is None else pin_number("pin", wanted["pin"])
        after = arguments.whole_number("after", wanted.get("after", 0), 0, 2**53)
        return self.lines.history(pin, after, arguments.whole_number("most", wanted.get("most", MOST_CHANGES), 1, MOST_CHANGES))

    def _state(self, now_ns: int) -> dict[str, Any]:
        wiring = [
            {"type": w.data["type"], "pins": w.pins(), "label": w.data.get("label"), **w.state(now_ns)} for w in self.wires
        ]
        lines = [self.lines[pin].shown() for pin in PINS]
        last = self.lines.history(None, 2**53, 1)["last"]
        return {
            "now_ns": now_ns,
            "lines": lines,
            "wiring": wiring,
            "last": last,
            "on_release": ["input", "hold"][self.holds_released],
        }
