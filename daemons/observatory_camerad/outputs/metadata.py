"""Values as a camera gives them, made fit for JSON and for the headers of files."""

from __future__ import annotations

import json
import math
import numbers
from collections.abc import Mapping
from typing import Any


def plain(value: Any) -> Any:
    """The same of str, int, float, bool, None, list and dict only: numpy's types unpacked, bytes in hex, NaN as None."""
    if hasattr(value, "tolist"):  # numpy's arrays and numbers, and memoryviews
        value = value.tolist()
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return finite(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, (bytes, bytearray)):
        return value.hex()
    return str(value)


def strict_json(metadata: Mapping[str, Any], indent: int | None = 1) -> bytes:
    """Metadata as JSON that every parser takes."""
    return json.dumps(plain(metadata), indent=indent, allow_nan=False).encode()


def finite(value: Any) -> float | None:
    """A number of the metadata; None for what is missing, infinite or no number."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
        return None
    return float(value)


def finite_numbers(value: Any, count: int) -> list[float]:
    """So many numbers of the metadata; none if they are missing, not so many, or one is infinite or no number."""
    value = plain(value)
    numbers = [finite(item) for item in value] if isinstance(value, list) else []
    known = [number for number in numbers if number is not None]
    return known if len(known) == len(numbers) == count else []


def ascii_text(text: str, longest: int = 60) -> str:
    """What headers can hold: printable ASCII."""
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text)[:longest]
