"""The words of the Multi-channel Focus Controller: what is sent, and a grammar for what may come back.

Facts measured on the 2022 firmware (and read in its 2023 successor): ASCII lines, commands end with LF alone (the
controller stores a CR or LF that follows one as the first character of the next command), replies end with CR LF.
`$` accepts a command, `?` refuses it, a malformed channel command gets no reply at all. Nothing carries a number
that would tie a reply to its command, so only the form of a reply and its order say whose it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

TERMINATOR = b"\n"
QUERY = b"?"
QUERY_FANS = b"#"
ACCEPTED = b"$"
REFUSED = b"?"

#: The firmware prints and accepts a sign and at most seven digits.
FIRMWARE_LIMIT_STEPS = 9_999_999

#: The longest line a controller sends is 49 bytes; anything much longer is noise.
LONGEST_LINE = 256

# %+07ld: a sign and six digits, or seven of which the first is not 0; the firmware has no negative zero.
_NUMBER = rb"(\+\d{6}|-(?!000000)\d{6}|[+-][1-9]\d{6})"
_STATUS = re.compile(rb"T1=" + _NUMBER + rb",C1=" + _NUMBER + rb"(?:,T2=" + _NUMBER + rb",C2=" + _NUMBER + rb")?")
_TEMPERATURE = re.compile(rb"[+-]?\d{1,3}(?:\.\d{1,6})?")


@dataclass(frozen=True)
class Firmware:
    """What differs between the firmwares.

    `steps_per_s` is the constant speed of every channel; `steps_per_s` x `microsteps` raw steps are made a second, and
    the position shown is the raw one divided by `microsteps`, rounded down.
    """

    name: str
    steps_per_s: float
    microsteps: int
    has_fans: bool


FIRMWARE_2022 = Firmware("2022", steps_per_s=16e6 / 1024 / 2 / 2 / 64, microsteps=64, has_fans=False)
FIRMWARE_2023 = Firmware("2023", steps_per_s=16e6 / 1024 / 5 / 2 / 16, microsteps=16, has_fans=True)


@dataclass(frozen=True)
class Reading:
    """Where one channel was told to go and where it says it is, in steps."""

    target_steps: int
    current_steps: int


def set_target(channel: int, steps: int) -> bytes:
    """The command that moves a channel to `steps`; accepted also while it moves, which redirects it at once."""
    return b"%d%+07d" % (channel, steps)


def stop(channel: int) -> bytes:
    """The command that stops a channel: its target becomes its position."""
    return b"%dS" % channel


def zero(channel: int) -> bytes:
    """The command that makes the present position 0; a motor that moves stops dead."""
    return b"%dZ" % channel


def set_fans(enabled: bool) -> bytes:
    """The command that switches the fans (2023 firmware)."""
    return b"#1" if enabled else b"#0"


def query_temperature(address: str) -> bytes:
    """The query for one temperature probe by its 16 hex digits (2023 firmware); the controller measures for ~1 s."""
    return b"@" + address.upper().encode("ascii")


def parse_status(line: bytes) -> tuple[Reading, ...] | None:
    """The readings of a whole status line, one per channel; None for any other line."""
    match = _STATUS.fullmatch(line)
    if match is None:
        return None
    numbers = [int(digits) for digits in match.groups() if digits is not None]
    return tuple(Reading(target, current) for target, current in zip(numbers[::2], numbers[1::2], strict=True))


def parse_answer(line: bytes) -> bytes | None:
    """`$` or `?` if the whole line is one of them; None for any other line."""
    return line if line in (ACCEPTED, REFUSED) else None


def parse_fans_probe(line: bytes) -> bytes | None:
    """The reply to `#`, which tells the firmwares apart: `0` or `1` from that of 2023, `?` from that of 2022."""
    return line if line in (b"0", b"1", REFUSED) else None


def parse_fans(line: bytes) -> bool | None:
    """The state of the fans from the reply to `#`; None for any other line."""
    return {b"0": False, b"1": True}.get(line)


def parse_temperature(line: bytes) -> float | None:
    """Degrees Celsius from the reply to `@ADDRESS`; None for any other line, FAILED among them."""
    return float(line) if _TEMPERATURE.fullmatch(line) else None
