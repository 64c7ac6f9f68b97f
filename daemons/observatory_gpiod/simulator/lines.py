"""The 28 lines: who drives them, at which level they are, and every change there was."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any

PINS = range(28)
#: As the chip starts: GPIO 0 to 8 pulled up, the others down.
POWER_ON_PULL = {pin: "up" if pin <= 8 else "down" for pin in PINS}
FUNCTIONS = ("input", "output")
PULLS = ("up", "down", "floating")

#: Told of an edge: the line, and when in nanoseconds.
Listener = Callable[["Line", int], None]


@dataclass(frozen=True)
class Pwm:
    """Pulses: `duty` 0 to 1 of each period, since an instant."""

    frequency_hz: float
    duty: float
    since_ns: int

    def level_at(self, now_ns: int) -> bool:
        """The level within the period."""
        phase = (now_ns - self.since_ns) * self.frequency_hz / 1e9 % 1.0
        return phase < self.duty


@dataclass
class Line:
    """One line. `wired` is what is connected drives it to, `forced` what a request does; None: it does not."""

    pin: int
    pull: str
    function: str = "input"
    driven: bool = False
    pwm: Pwm | None = None
    wired: bool | None = None
    forced: bool | None = None
    owner: str | None = None
    level: bool = False
    edges: int = 0

    def wanted_level(self) -> bool:
        """The level that follows from all that drives the line. PWM counts as high, unless its duty is 0."""
        if self.function == "output":
            return self.pwm.duty > 0 if self.pwm else self.driven
        for outside in (self.forced, self.wired):
            if outside is not None:
                return outside
        return self.level if self.pull == "floating" else self.pull == "up"  # a floating line keeps its charge

    def shown(self) -> dict[str, Any]:
        """Plain types, for answers."""
        return {
            "pin": self.pin,
            "level": int(self.level),
            "function": self.function,
            "pull": self.pull,
            "frequency_hz": self.pwm.frequency_hz if self.pwm else None,
            "duty": self.pwm.duty if self.pwm else None,
            "owner": self.owner,
            "edges": self.edges,
        }


@dataclass(frozen=True)
class Change:
    """One entry of the history: level and PWM of a line from an instant on. Numbers count up over all lines, from 1."""

    number: int
    at_ns: int
    pin: int
    level: int
    duty: float | None
    frequency_hz: float | None


class Lines:
    """All lines, a history of the last `kept` changes, and who listens to edges."""

    def __init__(self, kept: int = 100_000) -> None:
        self._lines = [Line(pin, POWER_ON_PULL[pin], level=POWER_ON_PULL[pin] == "up") for pin in PINS]
        self._history: deque[Change] = deque(maxlen=kept)
        self._last = 0
        self._listeners: dict[int, list[Listener]] = {pin: [] for pin in PINS}
        self._turners: dict[int, list[Listener]] = {pin: [] for pin in PINS}

    def __getitem__(self, pin: int) -> Line:
        return self._lines[pin]

    def listen(self, pin: int, listener: Listener) -> None:
        """Be told of every edge of a line and of every change of its pulses, in order, before the next thing happens."""
        self._listeners[pin].append(listener)

    def listen_function(self, pin: int, listener: Listener) -> None:
        """Be told when a line is driven by its owner, or let go, before its level follows."""
        self._turners[pin].append(listener)

    def unlisten(self, pin: int, listener: Listener) -> None:
        """No longer."""
        self._listeners[pin].remove(listener)

    def wire(self, pin: int, level: bool | None, at_ns: int) -> None:
        """What is connected drives the line, or lets it go (None)."""
        self._lines[pin].wired = level
        self.settle(pin, at_ns)

    def force(self, pin: int, level: bool | None, at_ns: int) -> None:
        """A request drives the line against what is wired, or lets it go (None)."""
        self._lines[pin].forced = level
        self.settle(pin, at_ns)

    def set_input(self, pin: int, pull: str | None, at_ns: int) -> None:
        """Let the line be driven from outside; `pull` None leaves the resistor as it is."""
        line = self._lines[pin]
        was = line.function
        line.function, line.pwm = "input", None
        line.pull = pull or line.pull
        if was != "input":
            self._turned(line, at_ns)
        self.settle(pin, at_ns)

    def set_output(self, pin: int, level: bool | None, at_ns: int) -> None:
        """Drive the line; None: at the level that it has, without an edge."""
        line = self._lines[pin]
        line.driven = line.level if level is None else level
        line.function, line.pwm = "output", None
        self._turned(line, at_ns)
        self.settle(pin, at_ns)

    def set_pwm(self, pin: int, frequency_hz: float | None, duty: float, at_ns: int) -> None:
        """Drive an output with pulses; a frequency of None ends them, low."""
        line = self._lines[pin]
        line.driven = False
        line.pwm = None if frequency_hz is None else Pwm(frequency_hz, duty, at_ns)
        self.settle(pin, at_ns, pwm_changed=True)

    def set_free(self, pin: int, hold: bool, at_ns: int) -> None:
        """Nobody owns the line any longer: it holds its level, or becomes an input, as the kernel does it."""
        line = self._lines[pin]
        line.owner = None
        if not hold:
            self.set_input(pin, None, at_ns)
        elif line.pwm is not None:  # the pulses were made by the process that is gone
            line.driven, line.pwm = line.pwm.level_at(at_ns), None
            self.settle(pin, at_ns, pwm_changed=True)

    def settle(self, pin: int, at_ns: int, *, pwm_changed: bool = False) -> None:
        """Let the level follow from what drives the line; note a change, and tell of an edge."""
        line = self._lines[pin]
        level = line.wanted_level()
        is_edge = level != line.level
        if not is_edge and not pwm_changed:
            return
        line.level = level
        line.edges += int(is_edge)
        self._last += 1
        duty, frequency_hz = (line.pwm.duty, line.pwm.frequency_hz) if line.pwm else (None, None)
        self._history.append(Change(self._last, at_ns, pin, int(level), duty, frequency_hz))
        for listener in tuple(self._listeners[pin]):
            listener(line, at_ns)

    def _turned(self, line: Line, at_ns: int) -> None:
        for listener in self._turners[line.pin]:
            listener(line, at_ns)

    def history(self, pin: int | None, after: int, most: int) -> dict[str, Any]:
        """The changes numbered above `after`, of one line or of all: `changes`, `next` (the new `after`), `lost`."""
        oldest = self._last - len(self._history) + 1
        skipped = max(after + 1 - oldest, 0)
        found: list[dict[str, Any]] = []
        following = max(after, oldest - 1)
        for change in islice(self._history, skipped, None):
            if len(found) >= most:
                break
            following = change.number
            if pin is None or change.pin == pin:
                found.append(vars(change))
        return {"changes": found, "next": following, "last": self._last, "lost": max(oldest - after - 1, 0)}
