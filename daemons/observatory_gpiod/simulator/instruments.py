"""What can be wired to the lines, continued: sensors that answer in time, and what turns."""

from __future__ import annotations

import math
from typing import Any

from observatory_common import arguments
from observatory_gpiod.simulator.lines import Line, Lines
from observatory_gpiod.simulator.timeline import NS, Planned, Timeline
from observatory_gpiod.simulator.wires import Scheduled, Wire, nanoseconds

#: Sound takes so long for a centimetre and back.
ECHO_NS_PER_CM = 58_000
#: From the end of the trigger to the begin of the echo.
ECHO_DELAY_NS = 500_000
#: The sensor hears nothing from farther away, and then holds the echo line for so long.
FARTHEST_CM = 400.0
NO_ECHO_NS = 38_000_000
SHORTEST_TRIGGER_NS = 10_000


def _swinging(data: dict[str, Any], mean: float, swing_key: str, since_ns: int, now_ns: int) -> float:
    """A value that swings about its mean as a sine of `period_s`."""
    return mean + float(data.get(swing_key, 0.0)) * math.sin(
        2 * math.pi * (now_ns - since_ns) / NS / data.get("period_s", 10.0)
    )


class Distance(Wire):
    """An ultrasonic sensor: a pulse on `trigger` makes one on `echo`, as long as sound needs to the target and back."""

    DRIVES = ("echo",)
    SEES = ("trigger",)

    def __init__(self, data: dict[str, Any], lines: Lines, timeline: Timeline) -> None:
        super().__init__(data, lines, timeline)
        self._mean_cm = float(data.get("distance_cm", 50.0))
        self._since_ns = self._raised_ns = self._busy_until_ns = 0
        self._pings = 0

    def start(self, now_ns: int) -> None:
        """Listen to the trigger."""
        self._since_ns = now_ns
        self.lines.wire(self.data["echo"], False, now_ns)
        self.lines.listen(self.data["trigger"], self._trigger)

    def distance_cm(self, now_ns: int) -> float:
        """Where the target is."""
        return max(_swinging(self.data, self._mean_cm, "swing_cm", self._since_ns, now_ns), 2.0)

    def _trigger(self, line: Line, at_ns: int) -> None:
        if line.level:
            self._raised_ns = at_ns
        elif at_ns - self._raised_ns >= SHORTEST_TRIGGER_NS and at_ns >= self._busy_until_ns:
            self._pings += 1
            cm = self.distance_cm(at_ns)
            rise_ns = at_ns + ECHO_DELAY_NS
            fall_ns = rise_ns + (NO_ECHO_NS if cm > FARTHEST_CM else round(cm * ECHO_NS_PER_CM))
            self._busy_until_ns = fall_ns
            self.timeline.at(rise_ns, lambda then_ns: self.lines.wire(self.data["echo"], True, then_ns))
            self.timeline.at(fall_ns, lambda then_ns: self.lines.wire(self.data["echo"], False, then_ns))

    def adjust(self, what: str, value: float, now_ns: int) -> None:
        """Move the target: `distance_cm` 2 to 1000."""
        if what != "distance_cm":
            super().adjust(what, value, now_ns)
        self._mean_cm = arguments.number(what, value, 2, 1000)

    def state(self, now_ns: int) -> dict[str, Any]:
        """Where the target is, and how often it was asked."""
        return {"distance_cm": self.distance_cm(now_ns), "pings": self._pings}


class Light(Wire):
    """A photo resistor that charges a capacitor: the line goes high (1 - light) * dark_charge_s after it becomes an input."""

    def __init__(self, data: dict[str, Any], lines: Lines, timeline: Timeline) -> None:
        super().__init__(data, lines, timeline)
        self._mean = float(data.get("light", 0.5))
        self._since_ns = 0
        self._charging: Planned | None = None

    def start(self, now_ns: int) -> None:
        """Charged, unless somebody discharges it."""
        self._since_ns = now_ns
        self.lines.wire(self.data["pin"], True, now_ns)
        self.lines.listen_function(self.data["pin"], self._turned)

    def light(self, now_ns: int) -> float:
        """0 (dark) to 1."""
        return min(max(_swinging(self.data, self._mean, "swing", self._since_ns, now_ns), 0.0), 1.0)

    def _turned(self, line: Line, at_ns: int) -> None:
        """Driven low it is discharged; let go it charges."""
        if self._charging is not None:
            self._charging.cancel()
            self._charging = None
        if line.function == "output":
            line.wired = line.driven
        elif not line.wired:
            charge_ns = nanoseconds((1 - self.light(at_ns)) * self.data.get("dark_charge_s", 0.01))
            self._charging = self.timeline.at(at_ns + charge_ns, lambda then_ns: self.lines.wire(line.pin, True, then_ns))

    def adjust(self, what: str, value: float, now_ns: int) -> None:
        """Change the brightness: `light` 0 to 1."""
        if what != "light":
            super().adjust(what, value, now_ns)
        self._mean = arguments.number(what, value, 0, 1)

    def state(self, now_ns: int) -> dict[str, Any]:
        """How bright it is."""
        return {"light": self.light(now_ns)}


class Encoder(Scheduled):
    """A knob with two contacts to ground that close a quarter of a step apart: `a` first when it is turned clockwise."""

    DRIVES = ("a", "b")

    def __init__(self, data: dict[str, Any], lines: Lines, timeline: Timeline) -> None:
        super().__init__(data, lines, timeline)
        self._steps = 0
        self._free_ns = 0

    def act(self, at_ns: int, for_ns: int) -> None:
        """Turn by `steps`, as the schedule says."""
        self.turn(self.data.get("steps", 1), at_ns)

    def turn(self, steps: int, at_ns: int) -> None:
        """Turn by so many steps (negative: counter-clockwise), each `step_s` long, after what is still being turned."""
        self._steps += steps
        first, second = ("a", "b") if steps > 0 else ("b", "a")
        quarter_ns = nanoseconds(self.data.get("step_s", 0.02)) // 4
        self._free_ns = max(self._free_ns, at_ns)
        for _ in range(abs(steps)):
            for key, closed in ((first, True), (second, True), (first, False), (second, False)):
                pin, level = self.data[key], False if closed else None
                self.timeline.at(self._free_ns, lambda then_ns, pin=pin, level=level: self.lines.wire(pin, level, then_ns))  # type: ignore[misc]
                self._free_ns += quarter_ns

    def state(self, now_ns: int) -> dict[str, Any]:
        """How far it has been turned."""
        return {"steps": self._steps}


#: The coils that are on, in the order in which they pull the rotor on by half a step each.
_HALF_STEPS = {0b1000: 0, 0b1100: 1, 0b0100: 2, 0b0110: 3, 0b0010: 4, 0b0011: 5, 0b0001: 6, 0b1001: 7}


class Stepper(Wire):
    """A 28BYJ-48 behind a ULN2003: the shaft follows the coils that `pins` (in1 to in4) switch on."""

    DRIVES = ()
    SEES = ("pins",)

    def __init__(self, data: dict[str, Any], lines: Lines, timeline: Timeline) -> None:
        super().__init__(data, lines, timeline)
        self._half_steps = 0
        self._phase = 0
        self._missed = 0

    def start(self, now_ns: int) -> None:
        """Watch the coils."""
        for pin in self.data["pins"]:
            self.lines.listen(pin, self._switched)

    def _switched(self, _line: Line, _at_ns: int) -> None:
        on = 0
        for pin in self.data["pins"]:
            line = self.lines[pin]
            on = on << 1 | (line.level and line.function == "output")
        phase = _HALF_STEPS.get(on)
        if phase is None:
            return  # off, or coils that pull against each other: the gears hold the shaft
        step = (phase - self._phase + 4) % 8 - 4
        if step == -4:
            self._missed += 1  # straight across: it does not know which way
            return
        self._half_steps += step
        self._phase = phase

    def state(self, now_ns: int) -> dict[str, Any]:
        """The angle of the shaft in degrees, positive forward, and in half steps."""
        angle = self._half_steps * self.data.get("stride_angle", 5.625) / self.data.get("gear_reduction", 64)
        return {"angle": angle, "half_steps": self._half_steps, "missed": self._missed}


class Servo(Wire):
    """A servo: its angle follows the width of the pulses; without pulses it stays."""

    DRIVES = ()
    SEES = ("pin",)

    def __init__(self, data: dict[str, Any], lines: Lines, timeline: Timeline) -> None:
        super().__init__(data, lines, timeline)
        self._angle: float | None = None
        self._pulse_s: float | None = None

    def start(self, now_ns: int) -> None:
        """Watch the pulses."""
        self.lines.listen(self.data["pin"], self._pulsed)

    def _pulsed(self, line: Line, _at_ns: int) -> None:
        if line.pwm is None or line.pwm.duty <= 0:
            self._pulse_s = None
            return
        self._pulse_s = line.pwm.duty / line.pwm.frequency_hz
        shortest, longest = self.data.get("min_pulse_s", 0.001), self.data.get("max_pulse_s", 0.002)
        lowest, highest = self.data.get("min_angle", -90), self.data.get("max_angle", 90)
        part = min(max((self._pulse_s - shortest) / (longest - shortest), 0.0), 1.0)
        self._angle = lowest + part * (highest - lowest)

    def state(self, now_ns: int) -> dict[str, Any]:
        """Where it points in degrees (None: it was never told), and the pulses it gets."""
        return {"angle": self._angle, "pulse_s": self._pulse_s}
