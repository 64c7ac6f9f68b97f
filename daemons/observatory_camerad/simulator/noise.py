"""Random numbers that are prepared once, so that a frame's noise costs little more than reading it from memory.

A frame is drawn by bands of rows, which stay in the processor's cache, and every band of every frame begins at another place of
the tiles. The noise of two frames is then uncorrelated pixel by pixel, and the same seed and frame number give the same noise.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

_TILE = 1 << 20
_BAND = 1 << 15
_BITS = 12
_PER_ROOT = 32  # levels of the Poisson table for each step of 1 in sqrt(mean): a sixteenth of the scatter apart
MOST_ELECTRONS = 64.0  # the table's last level


def bands(shape: tuple[int, ...]) -> Iterator[slice]:
    """The rows of a frame, by as many as there is noise for at once."""
    height, width = shape
    rows = max(_BAND // width, 1)
    for first in range(0, height, rows):
        yield slice(first, min(first + rows, height))


class NoiseTiles:
    """Standard normal numbers, and whole numbers that are uniform in 0 to 4095, for a band at a time."""

    def __init__(self, seed: int) -> None:
        self._normal = np.random.default_rng((seed, 1)).standard_normal(_TILE, np.float32)
        # each number equally often, so that the mean of few electrons is right over a frame
        self._uniform = np.tile(np.arange(1 << _BITS, dtype=np.uint16), _TILE >> _BITS)
        np.random.default_rng((seed, 2)).shuffle(self._uniform)

    def normal(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        """float32, to be read only."""
        return _cut(self._normal, shape, generator)

    def uniform(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        """uint16, to be read only."""
        return _cut(self._uniform, shape, generator)


def _cut(tile: np.ndarray, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    size = math.prod(shape)
    start = int(generator.integers(0, _TILE - size))
    return tile[start : start + size].reshape(shape)


class PoissonTable:
    """Poisson numbers for means up to 64, by the inverse of the distribution at 4096 places."""

    def __init__(self) -> None:
        means = (np.arange(round(math.sqrt(MOST_ELECTRONS) * _PER_ROOT) + 1) / _PER_ROOT) ** 2
        most = int(MOST_ELECTRONS + 8 * math.sqrt(MOST_ELECTRONS))
        share, total = np.exp(-means), np.exp(-means)
        below = [total.copy()]
        for count in range(1, most + 1):
            share = share * means / count
            total = total + share
            below.append(total.copy())
        places = (np.arange(1 << _BITS) + 0.5) / (1 << _BITS)
        rows = [np.searchsorted(row, places).astype(np.uint8) for row in np.stack(below, axis=1)]
        self._numbers = np.concatenate(rows)

    def levels(self, means: np.ndarray, dither: np.ndarray) -> np.ndarray:
        """For each mean (0 to 64, float32) the level above or below it, uint16, so that the mean is kept over many pixels.

        `dither` has a uniform whole number, 0 to 4095, for each pixel.
        """
        below = np.sqrt(means)
        below *= _PER_ROOT
        np.floor(below, out=below)
        between = (means * np.float32(_PER_ROOT**2) - below * below) / (2 * below + 1)
        below += between * (1 << _BITS) > dither
        levels: np.ndarray = below.astype(np.uint16)
        np.minimum(levels, np.uint16(len(self._numbers) // (1 << _BITS) - 1), out=levels)
        return levels

    def draw(self, levels: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        """A number (uint8) for each pixel's level, by `uniform` whole numbers of 0 to 4095."""
        places = levels.astype(np.int32)
        places <<= _BITS
        places += uniform
        drawn: np.ndarray = np.take(self._numbers, places, mode="clip")
        return drawn
