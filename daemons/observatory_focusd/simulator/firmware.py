"""The controller's firmware as a pure model: bytes and time in, bytes out. Measured on the real firmware of 2022.

Positions are raw steps (64 to a step shown, 16 in the 2023 firmware). `true` is where the motor really stands, which
the counters forget when the power fails. Time is passed in as seconds of any monotonic clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

#: Writing one EEPROM byte takes 3.4 ms, in which no motor steps; unchanged bytes are skipped.
EEPROM_BYTE_S = 0.0034
_DIGITS = b"0123456789"


@dataclass(frozen=True)
class Model:
    """What differs between the firmwares; `raw_per_s` is the constant speed of each channel."""

    name: str
    raw_per_s: float
    raw_per_step: int
    buffer_bytes: int
    fans: bool


MODEL_2022 = Model("2022", raw_per_s=3906.25, raw_per_step=64, buffer_bytes=16, fans=False)
MODEL_2023 = Model("2023", raw_per_s=1562.5, raw_per_step=16, buffer_bytes=20, fans=True)


@dataclass
class Motor:
    """One channel: its counters as of `since`, and where it truly stands relative to them."""

    target_raw: int
    start_raw: int
    since: float
    slip_raw: int = 0
    started_at: float | None = None
    halted_at: float | None = None

    def raw_at(self, now: float, raw_per_s: float) -> int:
        """The position counter, in closed form: constant speed, no ramp."""
        gone = max(int((now - self.since) * raw_per_s), 0)
        way = self.target_raw - self.start_raw
        return self.start_raw + max(min(way, gone), -gone)

    def end_at(self, raw_per_s: float) -> float:
        """When it arrives."""
        return self.since + abs(self.target_raw - self.start_raw) / raw_per_s


@dataclass
class Firmware:
    """The controller. `save` gets the EEPROM's content whenever it changes."""

    model: Model
    channels: int
    speed_factor: float = 1.0
    save: Callable[[bytes], None] = lambda _: None
    temperatures_c: dict[str, float | None] = field(default_factory=dict)
    received: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._buffer = b""
        self._motors: list[Motor] = []
        self._eeprom = b""
        self.fans_on = False

    @property
    def raw_per_s(self) -> float:
        """The speed of a motor here."""
        return self.model.raw_per_s * self.speed_factor

    def power_on(self, eeprom: bytes, now: float) -> None:
        """Start: both counters of a channel come from the EEPROM, which holds the target alone; truth goes on."""
        truths = [self.true_raw(n + 1, now) for n in range(len(self._motors))]
        self._eeprom = eeprom
        self._buffer = b""
        self.fans_on = False
        self._motors = []
        for n in range(self.channels):
            raw = int.from_bytes(eeprom[4 * n : 4 * n + 4], "little", signed=True)
            slip = truths[n] - raw if n < len(truths) else 0
            self._motors.append(Motor(raw, raw, now, slip))

    @property
    def between_commands(self) -> bool:
        """Whether nothing has been stored since the last command ended."""
        return not self._buffer

    def receive(self, data: bytes, now: float) -> list[bytes]:
        """Take bytes from the line; the replies, one item each, with their line ends."""
        replies = []
        for n in range(len(data)):
            byte = data[n : n + 1]
            if byte in b"\r\n" and self._buffer:  # at an empty buffer a line end is stored like any other character
                line, self._buffer = self._buffer[: self.model.buffer_bytes], b""
                reply = self._reply(line, now)
                if reply is not None:
                    replies.append(reply + b"\r\n")
            else:
                self._buffer = (self._buffer + byte)[: self.model.buffer_bytes + 1]
        return replies

    def status(self, now: float, current_raw: dict[int, int] | None = None) -> bytes:
        """The status line; `current_raw` replaces what a channel's counter shows (a torn reading)."""
        shown = []
        for number, motor in enumerate(self._motors, 1):
            raw = (current_raw or {}).get(number, motor.raw_at(now, self.raw_per_s))
            shown.append(f"T{number}={self._steps(motor.target_raw):+07d},C{number}={self._steps(raw):+07d}")
        return ",".join(shown).encode()

    def true_raw(self, channel: int, now: float) -> int:
        """Where the motor really stands."""
        motor = self._motors[channel - 1]
        return motor.raw_at(now, self.raw_per_s) + motor.slip_raw

    def motor_state(self, channel: int, now: float) -> dict[str, float | int | bool | None]:
        """Everything about a motor, for whoever asks the simulator."""
        motor = self._motors[channel - 1]
        raw = motor.raw_at(now, self.raw_per_s)
        end = motor.end_at(self.raw_per_s)
        moving = raw != motor.target_raw
        halted_at = None if moving else end if motor.started_at is not None and motor.halted_at is None else motor.halted_at
        return {
            "current_raw": raw,
            "target_raw": motor.target_raw,
            "true_raw": raw + motor.slip_raw,
            "current_steps": self._steps(raw),
            "target_steps": self._steps(motor.target_raw),
            "true_steps": self._steps(raw + motor.slip_raw),
            "moving": moving,
            "started_at_monotonic": motor.started_at,
            "halted_at_monotonic": halted_at,
        }

    def _steps(self, raw: int) -> int:
        return raw // self.model.raw_per_step

    def _reply(self, line: bytes, now: float) -> bytes | None:
        """What a whole line is answered with; None for silence."""
        self._count(line)
        first = line[:1]
        if line == b"?":
            return self.status(now)
        if self.model.fans and first == b"#":
            return self._fans(line)
        if self.model.fans and first == b"@":
            return self._temperature(line[1:].decode("ascii", "replace"))
        if first in tuple(b"%d" % (n + 1) for n in range(self.channels)):
            return self._channel_command(int(first), line[1:], now)
        return b"?"

    def _channel_command(self, channel: int, text: bytes, now: float) -> bytes | None:
        if text == b"S":
            motor = self._motors[channel - 1]
            self._retarget(channel, motor.raw_at(now, self.raw_per_s), now)
            return b"$"
        if text == b"Z":
            motor = self._motors[channel - 1]
            truth = motor.raw_at(now, self.raw_per_s) + motor.slip_raw
            motor.start_raw = motor.target_raw = 0
            motor.slip_raw = truth
            motor.since = motor.halted_at = now
            self._store(now)
            return b"$"
        sign, digits = text[:1], text[1:]
        if sign not in (b"+", b"-") or not digits:
            return None
        if len(digits) > 7 or any(byte not in _DIGITS for byte in digits):
            return b"?"
        self._retarget(channel, int(text) * self.model.raw_per_step, now)
        return b"$"

    def _retarget(self, channel: int, target_raw: int, now: float) -> None:
        motor = self._motors[channel - 1]
        here = motor.raw_at(now, self.raw_per_s)
        was_moving = here != motor.target_raw
        if not was_moving and target_raw == here:
            self._store(now)
            return
        motor.start_raw = here
        motor.since = now
        motor.target_raw = target_raw
        moves = target_raw != motor.start_raw
        if moves and not was_moving:
            motor.started_at, motor.halted_at = now, None
        elif was_moving and not moves:
            motor.halted_at = now
        self._store(now)

    def _store(self, now: float) -> None:
        """Write the targets; every byte that changes holds all motors up."""
        content = b"".join((m.target_raw & 0xFFFFFFFF).to_bytes(4, "little") for m in self._motors)
        content += self._eeprom[len(content) :]
        changed = sum(a != b for a, b in zip(content, self._eeprom, strict=True))
        if changed:
            for motor in self._motors:
                raw = motor.raw_at(now, self.raw_per_s)
                if raw != motor.target_raw:
                    motor.start_raw, motor.since = raw, now + changed * EEPROM_BYTE_S / self.speed_factor
            self._eeprom = content
            self.save(content)

    def _fans(self, line: bytes) -> bytes:
        if line == b"#":
            return b"1" if self.fans_on else b"0"
        if line in (b"#0", b"#1"):
            self.fans_on = line == b"#1"
            return b"$"
        return b"?"

    def _temperature(self, address: str) -> bytes:
        if not address:
            return ",".join(self.temperatures_c).encode()
        if address.upper() not in self.temperatures_c:
            return b"?"
        value = self.temperatures_c[address.upper()]
        return b"FAILED" if value is None else f"{value:.4f}".encode()

    def _count(self, line: bytes) -> None:
        first = line[:1].decode("ascii", "replace")
        if line[:1] in (b"1", b"2"):
            kind = line[1:2].decode("ascii", "replace")
            kind = "set" if kind in ("+", "-") else kind
        else:
            kind = first
        self.received[kind] = self.received.get(kind, 0) + 1
