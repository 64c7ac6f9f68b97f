"""Faults on request: what happens to the replies on their way out."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from observatory_common import arguments

#: Each fault of the line, and what it does to a reply.
REPLY_FAULTS = {
    "silence": "nothing is executed and nothing answered",
    "lost": "the command is executed, its reply is lost",
    "late": "the reply comes delay_s later; what follows waits behind it",
    "half": "only the first half of the reply comes",
    "doubled": "the reply comes twice",
    "noise": "random bytes come before the reply",
    "garbled": "one byte of the reply is changed",
    "nul": "NUL bytes come before the reply",
    "flood": "8 kB without a line end come before the reply",
    "echo": "the command comes back before the reply",
    "torn": "the status shows a current position that is torn (off by 256 steps, 1024 of the 2023 firmware)",
}
#: Those of the port and of the power, and the end of all.
PORT_FAULTS = ("unplug", "replug", "power_cut", "clear")


@dataclass
class Faults:
    """The fault in force, if any: for so many replies, or until an instant."""

    random: random.Random = field(default_factory=lambda: random.Random(1))
    name: str | None = None
    count: int = 0
    until: float | None = None
    delay_s: float = 0.0

    def request(self, wanted: dict[str, Any], now: float) -> None:
        """Put a fault in force: `fault`, and `seconds` or `count` (default 1), and `delay_s` for `late`."""
        name = arguments.choice("fault", wanted.get("fault"), [*REPLY_FAULTS, *PORT_FAULTS])
        seconds = wanted.get("seconds")
        until = None if seconds is None else now + arguments.number("seconds", seconds, 0, 3600)
        count = arguments.whole_number("count", wanted.get("count", 1), 1, 1_000_000)
        delay_s = arguments.number("delay_s", wanted.get("delay_s", 1.0), 0, 60)
        self.name, self.until, self.count, self.delay_s = name, until, count, delay_s

    def clear(self) -> None:
        """End the fault in force."""
        self.name = None

    def active(self, now: float) -> str | None:
        """The fault in force now."""
        if self.name is not None and self.until is not None and now >= self.until:
            self.name = None
        return self.name

    def apply(self, command: bytes, reply: bytes, now: float) -> tuple[float, bytes]:
        """By how much a reply is delayed, and what is sent instead of it."""
        name = self.active(now)
        if name is None:
            return 0.0, reply
        if self.until is None:
            self.count -= 1
            if self.count <= 0:
                self.name = None
        if name == "late":
            return self.delay_s, reply
        return 0.0, self._changed(name, command, reply)

    def _changed(self, name: str, command: bytes, reply: bytes) -> bytes:
        if name == "lost":
            return b""
        if name == "half":
            return reply[: len(reply) // 2]
        if name == "doubled":
            return reply + reply
        if name == "noise":
            return self.random.randbytes(self.random.randint(1, 40)) + reply
        if name == "garbled":
            at = self.random.randrange(len(reply))
            return reply[:at] + self.random.randbytes(1) + reply[at + 1 :]
        if name == "nul":
            return b"\0\0\0" + reply
        if name == "flood":
            return b"U" * 8192 + reply
        if name == "echo":
            return command + b"\r\n" + reply
        return reply  # torn: the model has made it so
