"""Names of pins: `GPIO17`, `BOARD11`, `17` (a text or a number) give the line 17 of the Broadcom chip."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from observatory_common.arguments import shown
from observatory_common.errors import InvalidArgument

LOWEST_GPIO, HIGHEST_GPIO = 0, 27
ALLOWED = "GPIO0 to GPIO27, the same as a bare number, or a pin of the header that is a GPIO, as BOARD11"

_NAME = re.compile(r"(?:(GPIO|BOARD))?([0-9]{1,4})", re.ASCII | re.IGNORECASE)
_ANY_40_PIN_BOARD = 0xC03111  # revision code of a Raspberry Pi 4B; every header of 40 pins is laid out alike


def gpio_number(value: Any) -> int:
    """The line (0 to 27) of a pin by its name. Raises InvalidArgument, with the nearest valid name."""
    if type(value) is int:
        return _checked(value, value)
    match = _NAME.fullmatch(value) if type(value) is str else None
    if match is None:
        raise InvalidArgument(f"{shown(value)} names no pin, expected {ALLOWED}", value=shown(value), allowed=ALLOWED)
    number = int(match[2])
    if (match[1] or "").upper() != "BOARD":
        return _checked(value, number)
    return _of_header(value, number)


def pin_name(number: int) -> str:
    """`GPIO17` for 17."""
    return f"GPIO{number}"


def _checked(value: Any, number: int) -> int:
    if LOWEST_GPIO <= number <= HIGHEST_GPIO:
        return number
    hint = pin_name(min(max(number, LOWEST_GPIO), HIGHEST_GPIO))
    raise _refused(value, "is no GPIO of the header", hint)


def _of_header(value: Any, position: int) -> int:
    header = _header()
    name = header.get(position)
    if name is not None and name.startswith("GPIO"):
        return int(name[4:])
    near = min((other for other, what in header.items() if what.startswith("GPIO")), key=lambda other: abs(other - position))
    reason = "is not on the header of 40 pins" if name is None else f"is {name}, no GPIO"
    raise _refused(value, reason, f"BOARD{near} ({header[near]})")


def _refused(value: Any, reason: str, hint: str) -> InvalidArgument:
    message = f"{shown(value)} {reason}, expected {ALLOWED}; did you mean {hint}?"
    return InvalidArgument(message, value=shown(value), allowed=ALLOWED)


@cache
def _header() -> dict[int, str]:
    """What is on each pin of the header, from gpiozero's tables (no Raspberry Pi is needed for them)."""
    from gpiozero.pins.pi import PiBoardInfo

    header = PiBoardInfo.from_revision(_ANY_40_PIN_BOARD).headers["J8"]
    return {number: pin.name for number, pin in header.pins.items()}
