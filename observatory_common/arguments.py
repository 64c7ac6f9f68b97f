"""Checks of the arguments of remote methods: strict about types, since anything may arrive over the wire."""

from __future__ import annotations

import math
import reprlib
import time
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

from observatory_common.errors import InvalidArgument

_LONGEST_SHOWN = 1000


class _Short(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 60
        self.maxlong = 40

    def repr_int(self, value: int, level: int) -> str:
        if value.bit_length() > 128:  # repr() of a huge int is slow, then refused by Python
            return f"a whole number of {value.bit_length()} bits"
        return super().repr_int(value, level)


_SHORT = _Short()


def shown(value: Any) -> str:
    """`value` as it stands in a message: its repr, shortened."""
    text = _SHORT.repr(value)
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "..."


def whole_number(name: str, value: Any, minimum: int, maximum: int) -> int:
    """`value` if it is an int (not a bool, not a float) from `minimum` to `maximum`. Raises InvalidArgument."""
    allowed = f"a whole number from {minimum} to {maximum}"
    if type(value) is not int or not minimum <= value <= maximum:
        raise refused(name, value, allowed)
    return value


def integer(name: str, value: Any, allowed: str) -> int:
    """`value` if it is an int (not a bool, not a float) of any size. Raises InvalidArgument, which names `allowed`."""
    if type(value) is not int:
        raise refused(name, value, allowed)
    return value


def number(name: str, value: Any, minimum: float, maximum: float) -> float:
    """`value` as a float if it is a finite number (not a bool) in the range. Raises InvalidArgument."""
    allowed = f"a number from {minimum:.12g} to {maximum:.12g}"
    if type(value) not in (int, float) or not minimum <= value <= maximum or not math.isfinite(value):
        raise refused(name, value, allowed)
    return float(value)


def flag(name: str, value: Any) -> bool:
    """`value` if it is True or False, nothing else. Raises InvalidArgument."""
    if type(value) is not bool:
        raise refused(name, value, "true or false")
    return value


def text(name: str, value: Any, maximum_length: int = 200) -> str:
    """`value` if it is a str of 1 to `maximum_length` characters. Raises InvalidArgument."""
    if type(value) is not str or not 1 <= len(value) <= maximum_length:
        raise refused(name, value, f"a text of 1 to {maximum_length} characters")
    return value


def choice(name: str, value: Any, allowed: Collection[str]) -> str:
    """`value` if it is one of `allowed`. Raises InvalidArgument."""
    if type(value) is not str or value not in allowed:
        raise refused(name, value, "one of " + ", ".join(sorted(allowed)))
    return value


def pair(name: str, value: Any, minimum: float, maximum: float) -> tuple[float, float]:
    """`value` as two floats if it is a list of two finite numbers in the range. Raises InvalidArgument."""
    if type(value) is not list or len(value) != 2:
        raise refused(name, value, f"a list of two numbers from {minimum:.12g} to {maximum:.12g}")
    return number(name, value[0], minimum, maximum), number(name, value[1], minimum, maximum)


def moment_ns(name: str, value: Any, ahead_s: float) -> int:
    """A time as nanoseconds since 1970, if it is one in UTC that is not over, and within `ahead_s` seconds.

    Raises InvalidArgument.
    """
    allowed = f"a time to come as 2026-01-02T03:04:05.678Z, within {ahead_s:g} s"
    if type(value) is not str or not value.endswith("Z"):
        raise refused(name, value, allowed)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise refused(name, value, allowed) from None
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    wanted_ns = (since // timedelta(microseconds=1)) * 1000
    if not 0 <= wanted_ns - time.time_ns() <= ahead_s * 1e9:
        raise refused(name, value, allowed)
    return wanted_ns


def refused(name: str, value: Any, allowed: str) -> InvalidArgument:
    """The refusal of an argument, naming it, its value and what is allowed."""
    return InvalidArgument(f"{name} is {shown(value)}, expected {allowed}", value=shown(value), allowed=allowed)
