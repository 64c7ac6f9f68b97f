"""Arguments of `cam` and what they become."""

from __future__ import annotations

import math
from typing import Any

import click


class Number(click.ParamType):  # type: ignore[type-arg]  # older click has it without an argument
    """A finite number in a range."""

    name = "number"

    def __init__(self, minimum: float, maximum: float, whole: bool = False, above: bool = False) -> None:
        self._minimum, self._maximum, self._whole, self._above = minimum, maximum, whole, above

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> float | int:
        """The number, or a usage error."""
        try:
            number = int(value) if self._whole else float(value)
        except ValueError:
            number = math.nan
        if not self._minimum <= number <= self._maximum or (self._above and number == self._minimum):
            what = "a whole number" if self._whole else "a number"
            low = "above" if self._above else "from"
            self.fail(f"{value!r} is not {what} {low} {self._minimum:g} to {self._maximum:g}", parameter, context)
        return number


class NumberOrAuto(Number):
    """As Number, or the word `auto`, which becomes None."""

    name = "number"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        """The number, None, or a usage error."""
        return None if value in (None, "auto") else super().convert(value, parameter, context)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        """The one word."""
        return _completed("auto", incomplete)


class FrameCount(click.ParamType):  # type: ignore[type-arg]  # as above
    """How many frames; 0 is `continuous`."""

    name = "count"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> int:
        """The number, or a usage error."""
        if value == "continuous":
            return 0
        text = str(value)
        if not (text.isascii() and text.isdigit() and 1 <= len(text) <= 8 and 1 <= int(text) <= 10_000_000):
            self.fail(f"{value!r} is neither continuous nor a number of frames from 1 to 10000000", parameter, context)
        return int(text)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        """The one word."""
        return _completed("continuous", incomplete)


def _completed(word: str, incomplete: str) -> list[Any]:
    from click.shell_completion import CompletionItem

    return [CompletionItem(word)] if word.startswith(incomplete) else []
