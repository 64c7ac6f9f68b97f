"""What the simulated camera looks at: stars, a sky, moving discs, as photons per second on each pixel of the whole sensor."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from observatory_camerad.drivers.base import Rectangle

#: Relative photon rates behind the colour filters for light of 5600 K, which needs the gains of `daylight_gains`.
_CHANNELS = ("R", "G", "B")
_PATCH_SIGMAS = 4.5


@dataclass(frozen=True)
class Star:
    """A point of light: its place in pixels of the whole sensor (centre of the first pixel: 0), photons/s by channel."""

    x: float
    y: float
    photons_per_s: tuple[float, float, float]


@dataclass(frozen=True)
class Mover:
    """A soft disc, as a satellite or a bird out of focus: centre when the camera is opened, speed, diameter.

    Pixels of the whole sensor, pixels per second, photons per second of the whole disc through the green filter.
    What leaves the sensor on one side comes in on the other.
    """

    x: float
    y: float
    vx: float = 0.0
    vy: float = 0.0
    size_pixels: float = 40.0
    photons_per_s: float = 1e6


@dataclass(frozen=True)
class SceneConfig:
    """`sky_photons_per_s` reach each pixel's filter; the colour temperature tints sky and stars alike."""

    seed: int = 1
    stars: int = 200
    brightest_photons_per_s: float = 3e6
    faintest_photons_per_s: float = 2e4
    sky_photons_per_s: float = 2000.0
    colour_temperature_k: float = 5600.0
    seeing_sigma_pixels: float = 1.4
    movers: tuple[Mover, ...] = ()


class Scene:
    """A star field, the same for the same seed."""

    def __init__(self, config: SceneConfig, size: tuple[int, int], bayer_pattern: str) -> None:
        self.config = config
        self.size = size
        self._pattern = bayer_pattern
        generator = np.random.default_rng(config.seed)
        width, height = size
        places = generator.uniform((0, 0), (width, height), (config.stars, 2))
        # Ten times as many stars for each factor of ten in faintness, about as the sky has it.
        ratio = config.faintest_photons_per_s / config.brightest_photons_per_s
        fluxes = config.brightest_photons_per_s * ratio ** generator.power(2.0, config.stars)
        tints = generator.uniform(0.8, 1.25, config.stars)
        red, green, blue = tint(config.colour_temperature_k)
        self.stars = [
            Star(float(x), float(y), (f * red * t, f * green, f * blue / t))
            for (x, y), f, t in zip(places, fluxes, tints, strict=True)
        ]
        self.sky = tuple(config.sky_photons_per_s * c for c in (red, green, blue))
        self._cached: tuple[float, np.ndarray] | None = None

    def rates(self, sigma_pixels: float) -> np.ndarray:
        """Photons per second behind the filter of every pixel (float32, rows x columns), for a star's width; without movers.

        The light of a star is spread as a Gaussian and kept whole. The last width's result is kept.
        """
        sigma = max(round(sigma_pixels, 2), 0.3)
        if self._cached is None or self._cached[0] != sigma:
            rates = np.empty(self.size[::-1], np.float32)
            for row, column, channel in self.mosaic():
                rates[row::2, column::2] = self.sky[channel]
            for star in self.stars:
                self._stamp(rates, star, sigma)
            self._cached = (sigma, rates)
        return self._cached[1]

    def moved(self, sigma_pixels: float, at_s: float) -> list[tuple[Rectangle, np.ndarray]]:
        """The pieces of the sensor where movers are so many seconds after the camera was opened, and their rates.

        The corners of the pieces are multiples of 4 pixels.
        """
        discs = [disc for mover in self.config.movers for disc in self._discs(mover, at_s)]
        pieces = []
        for x, y, reach, _ in discs:
            left, top = (max(int(middle - reach) & ~3, 0) for middle in (x, y))
            right, bottom = (min((int(middle + reach) + 5) & ~3, end) for middle, end in zip((x, y), self.size, strict=True))
            rates = self.rates(sigma_pixels)[top:bottom, left:right].copy()
            for disc in discs:  # a piece has the light of all that reach into it
                self._shine(rates, (left, top), *disc)
            pieces.append(((left, top, right - left, bottom - top), rates))
        return pieces

    def _discs(self, mover: Mover, at_s: float) -> list[tuple[float, float, float, float]]:
        """Centre, reach and photons of a mover wherever it, or what hangs over an edge of it, is to be seen."""
        width, height = self.size
        x, y = (mover.x + mover.vx * at_s) % width, (mover.y + mover.vy * at_s) % height
        reach = mover.size_pixels / 2 + 1
        xs = [x + shift for shift in (-width, 0, width) if -reach < x + shift < width - 1 + reach]
        ys = [y + shift for shift in (-height, 0, height) if -reach < y + shift < height - 1 + reach]
        return [(x, y, reach, mover.photons_per_s) for x in xs for y in ys]

    def _shine(self, rates: np.ndarray, corner: tuple[int, int], x: float, y: float, reach: float, photons: float) -> None:
        height, width = rates.shape
        across = np.arange(width, dtype=np.float32) + np.float32(corner[0] - x)
        down = np.arange(height, dtype=np.float32) + np.float32(corner[1] - y)
        if across[0] > reach or across[-1] < -reach or down[0] > reach or down[-1] < -reach:
            return
        # (1 - (r / reach)^2)^2 within the reach: its sum over the plane is a third of the circle's area.
        profile = np.clip(1 - (np.square(across)[None, :] + np.square(down)[:, None]) / np.float32(reach**2), 0, None)
        np.square(profile, out=profile)
        profile *= np.float32(photons / (np.pi * reach**2 / 3))
        tints = tint(self.config.colour_temperature_k)
        for row, column, channel in self.mosaic():  # the corner is at an even place
            rates[row::2, column::2] += profile[row::2, column::2] * np.float32(tints[channel])

    def mosaic(self) -> list[tuple[int, int, int]]:
        """The first row and column of each of the four kinds of pixel, and its channel (0 red, 1 green, 2 blue)."""
        return [(n // 2, n % 2, _CHANNELS.index(letter)) for n, letter in enumerate(self._pattern)]

    def _stamp(self, rates: np.ndarray, star: Star, sigma: float) -> None:
        reach = max(int(np.ceil(_PATCH_SIGMAS * sigma)), 2)
        x0, y0 = round(star.x) - reach, round(star.y) - reach
        columns, rows = np.arange(x0, x0 + 2 * reach + 1), np.arange(y0, y0 + 2 * reach + 1)
        across, down = _pixel_shares(columns - star.x, sigma), _pixel_shares(rows - star.y, sigma)
        inside_x, inside_y = (columns >= 0) & (columns < self.size[0]), (rows >= 0) & (rows < self.size[1])
        if not (inside_x.any() and inside_y.any()):
            return
        columns, rows, across, down = columns[inside_x], rows[inside_y], across[inside_x], down[inside_y]
        across, down = across.astype(np.float32), down.astype(np.float32)
        piece = rates[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        for row, column, channel in self.mosaic():
            row, column = (row - rows[0]) % 2, (column - columns[0]) % 2
            light = down[row::2] * np.float32(star.photons_per_s[channel])
            piece[row::2, column::2] += light[:, None] * across[None, column::2]


def _pixel_shares(offsets: np.ndarray, sigma: float) -> np.ndarray:
    """How much of a Gaussian falls between the edges of each pixel."""
    edges = np.append(offsets - 0.5, offsets[-1] + 0.5) / (sigma * math.sqrt(2))
    return np.diff([math.erf(edge) for edge in edges.tolist()]) / 2


def tint(colour_temperature_k: float) -> tuple[float, float, float]:
    """Red, green and blue of a light behind this sensor's filters, green 1: warm light has more red, less blue."""
    warmth = 5600.0 / colour_temperature_k
    return 0.5 * warmth**0.8, 1.0, 0.6 * warmth**-1.0


def white_gains(colour_temperature_k: float) -> tuple[float, float]:
    """The ColourGains (red, blue) that make a light of this temperature grey."""
    red, _, blue = tint(colour_temperature_k)
    return 1 / red, 1 / blue


def temperature_of(gains: tuple[float, float]) -> float:
    """The colour temperature for which such gains are right, from their ratio."""
    ratio = gains[0] / gains[1]  # (1 / 0.5 / w**0.8) / (w / 0.6) = 1.2 / w**1.8
    warmth = (1.2 / ratio) ** (1 / 1.8)
    return float(5600.0 / warmth)
