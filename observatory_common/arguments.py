"""Checks of the arguments of remote methods: strict about types, since anything may arrive over the wire."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Collection
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
        raise _refused(name, value, allowed)
    return value


def integer(name: str, value: Any, allowed: str) -> int:
    """`value` if it is an int (not a bool, not a float) of any size. Raises InvalidArgument, which names `allowed`."""
    if type(value) is not int:
        raise _refused(name, value, allowed)
    return value


def number(name: str, value: Any, minimum: float, maximum: float) -> float:
    """`value` as a float if it is a finite number (not a bool) in the range. Raises InvalidArgument."""
    allowed = f"a number from {minimum:g} to {maximum:g}"
    if type(value) not in (int, float) or not minimum <= value <= maximum or not math.isfinite(value):
        raise _refused(name, value, allowed)
    return float(value)


def flag(name: str, value: Any) -> bool:
    """`value` if it is True or False, nothing else. Raises InvalidArgument."""
    if type(value) is not bool:
        raise _refused(name, value, "true or false")
    return value


def text(name: str, value: Any, maximum_length: int = 200) -> str:
    """`value` if it is a str of 1 to `maximum_length` characters. Raises InvalidArgument."""
    if type(value) is not str or not 1 <= len(value) <= maximum_length:
        raise _refused(name, value, f"a text of 1 to {maximum_length} characters")
    return value


def choice(name: str, value: Any, allowed: Collection[str]) -> str:
    """`value` if it is one of `allowed`. Raises InvalidArgument."""
    if type(value) is not str or value not in allowed:
        raise _refused(name, value, "one of " + ", ".join(sorted(allowed)))
    return value


def _refused(name: str, value: Any, allowed: str) -> InvalidArgument:
    return InvalidArgument(f"{name} is {shown(value)}, expected {allowed}", value=shown(value), allowed=allowed)
