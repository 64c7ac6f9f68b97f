"""What can be wired to the lines: the base of all, and what closes and opens on a schedule."""

from __future__ import annotations

from typing import Any, ClassVar

from observatory_common.errors import InvalidArgument
from observatory_gpiod.simulator.lines import Line, Lines
from observatory_gpiod.simulator.timeline import NS, Timeline


def nanoseconds(seconds: float) -> int:
    """Seconds as nanoseconds."""
    return round(seconds * NS)


class Wire:
    """One thing that is wired. `data` is its object in the config, which fits the schema."""

    #: The keys of its config that name the lines which it drives, and those which it looks at.
    DRIVES: ClassVar[tuple[str, ...]] = ("pin",)
    SEES: ClassVar[tuple[str, ...]] = ()

    def __init__(self, data: dict[str, Any], lines: Lines, timeline: Timeline) -> None:
        self.data, self.lines, self.timeline = data, lines, timeline

    def pins(self) -> list[int]:
        """Its lines; the first is the one by which requests name it."""
        named = [self.data[key] for key in (*self.DRIVES, *self.SEES)]
        return [pin for value in named for pin in (value if isinstance(value, list) else [value])]

    def start(self, now_ns: int) -> None:
        """The board is switched on."""

    def adjust(self, what: str, value: float, now_ns: int) -> None:
        """Change what the outside is like. Raises InvalidArgument if there is nothing of this name."""
        raise InvalidArgument(f"a {self.data['type']} has no {what}", value=what)

    def state(self, now_ns: int) -> dict[str, Any]:
        """The truth about it."""
        return {}


class Scheduled(Wire):
    """Something that acts for `for_s`: at the seconds in `at_s` after the start, and every `every_s`."""

    def start(self, now_ns: int) -> None:
        """Plan."""
        for at_s in self.data.get("at_s", ()):
            self.timeline.at(now_ns + nanoseconds(at_s), self._scheduled)
        if "every_s" in self.data:
            period_ns = nanoseconds(self.data["every_s"])
            self.timeline.every(now_ns + period_ns, period_ns, self._scheduled)

    def _scheduled(self, at_ns: int) -> None:
        self.act(at_ns, nanoseconds(self.data.get("for_s", 0.2)))

    def act(self, at_ns: int, for_ns: int) -> None:
        """Begin at an instant, end `for_ns` later."""
        self.change(True, at_ns)
        self.timeline.at(at_ns + for_ns, lambda ends_ns: self.change(False, ends_ns))

    def change(self, active: bool, at_ns: int) -> None:
        """Begin or end; what is over at once overrides `act` instead."""


class Button(Scheduled):
    """A contact to ground or to 3.3 V; open, it leaves the line to its pull. It bounces if it is told to."""

    def __init__(self, data: dict[str, Any], lines: Lines, timeline: Timeline) -> None:
        super().__init__(data, lines, timeline)
        self._closed_level = data.get("to", "ground") == "3v3"
        self.presses = 0

    def change(self, active: bool, at_ns: int) -> None:
        """Press or release: the contact closes or opens `bounces` times more on the way."""
        self.presses += active
        bounces = self.data.get("bounces", 0)
        gap_ns = nanoseconds(self.data.get("bounce_s", 0.002)) // max(2 * bounces, 1)
        self._contact(active, at_ns)
        for n in range(1, 2 * bounces + 1):
            closed = active if n % 2 == 0 else not active
            self.timeline.at(at_ns + n * gap_ns, lambda then_ns, closed=closed: self._contact(closed, then_ns))  # type: ignore[misc]

    def _contact(self, closed: bool, at_ns: int) -> None:
        self.lines.wire(self.data["pin"], self._closed_level if closed else None, at_ns)

    def state(self, now_ns: int) -> dict[str, Any]:
        """How often it has been pressed."""
        return {"presses": self.presses}


class Sensor(Scheduled):
    """A module whose output is high while it sees something (or low, as `active` says) and driven otherwise too."""

    def __init__(self, data: dict[str, Any], lines: Lines, timeline: Timeline) -> None:
        super().__init__(data, lines, timeline)
        self._active_level = data.get("active", "high") == "high"
        self._seen = 0

    def start(self, now_ns: int) -> None:
        """It sees nothing yet."""
        self.lines.wire(self.data["pin"], not self._active_level, now_ns)
        super().start(now_ns)

    def change(self, active: bool, at_ns: int) -> None:
        """See something, or no longer."""
        self._seen += active
        self.lines.wire(self.data["pin"], active == self._active_level, at_ns)

    def state(self, now_ns: int) -> dict[str, Any]:
        """How often it has seen something."""
        return {"seen": self._seen}


class Loop(Wire):
    """A piece of wire: `to` follows `from` while that is an output."""

    DRIVES = ("to",)
    SEES = ("from",)

    def start(self, now_ns: int) -> None:
        """Connect."""
        self.lines.listen(self.data["from"], self._follow)
        self._follow(self.lines[self.data["from"]], now_ns)

    def _follow(self, line: Line, at_ns: int) -> None:
        self.lines.wire(self.data["to"], line.level, at_ns)
