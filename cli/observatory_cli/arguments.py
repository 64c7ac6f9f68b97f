"""NAME=VALUE words of a command line, and values as such words have them."""

from __future__ import annotations

import json
import re
from typing import Any

import click


def assignments(words: tuple[str, ...], context: click.Context) -> dict[str, Any]:
    """The values of NAME=VALUE words by their names. Raises UsageError."""
    values: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name or not text:
            raise click.UsageError(f"{word!r} is no NAME=VALUE", context)
        if name in values:
            raise click.UsageError(f"{name} is given twice", context)
        values[name] = _value(text)
    return values


def _value(text: str) -> Any:
    """A number, list, object, null, true or false as JSON has them; 1280x720 or 1.5,2 as a list; else a word as it is."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    size = re.fullmatch(r"([0-9]{1,6})x([0-9]{1,6})", text)
    if size is not None:
        return [int(size[1]), int(size[2])]
    if re.fullmatch(r"[-+.0-9eE]{1,30}(,[-+.0-9eE]{1,30}){1,99}", text) is not None:
        text = f"[{text}]"
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return text if isinstance(value, int) and abs(value) >= 2**63 else value  # beyond what the wire can carry


def word(value: Any) -> str:
    """A value as NAME=VALUE takes it, but for lists of lists."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (list, tuple)) and not any(isinstance(item, (list, tuple)) for item in value):
        return ",".join(map(word, value))
    return str(value)
