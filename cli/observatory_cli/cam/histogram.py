"""A histogram, drawn with characters."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

_ROWS = 4
_NARROWEST, _WIDEST = 16, 128
_BLOCKS, _ASCII = " ▁▂▃▄▅▆▇█", " .:-=+*#"
_COLOURS = {"red": "red", "green": "green", "blue": "blue", "R": "red", "B": "blue"}


def drawn(found: Mapping[str, Any], columns: int) -> str:
    """Each plane in four rows of bars, at most `columns` characters wide; heights are logarithms of the counts."""
    width = next((w for w in (_WIDEST, 64, 32) if w <= columns), _NARROWEST)
    return "\n".join(line for name, counts in found["counts"].items() for line in _plane(found, name, counts, width))


def _plane(found: Mapping[str, Any], name: str, counts: Sequence[int], width: int) -> Iterator[str]:
    mean, saturated = found["means"][name], found["saturated"][name]
    yield f"{click.style(name, bold=True)}: mean {mean:.1f} of {found['largest']}, {saturated:.2%} at the top"
    per_bar = len(counts) // width
    bars = [sum(counts[n * per_bar : (n + 1) * per_bar]) for n in range(width)]
    highest = math.log1p(max(bars)) or 1.0
    steps = _steps()
    fine = len(steps) - 1
    heights = [math.ceil(math.log1p(bar) / highest * _ROWS * fine) for bar in bars]
    for row in reversed(range(_ROWS)):
        line = "".join(steps[min(max(height - row * fine, 0), fine)] for height in heights).rstrip()
        yield click.style(line, fg=_COLOURS.get(name, _COLOURS.get(name[:1]))) if line else ""
    yield f"0{found['largest']:>{width - 1}}"


def _steps() -> str:
    """From nothing to a whole block, as far as the output can show them."""
    try:
        _BLOCKS.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return _ASCII
    return _BLOCKS
