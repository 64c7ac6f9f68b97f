"""What the simulated camera looks at: stars and a sky, as photons per second on each pixel of the whole sensor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Relative photon rates behind the colour filters for light of 5600 K, which needs the gains of `daylight_gains`.
_CHANNELS = ("R", "G", "B")
_PATCH_SIGMAS = 5.0


@dataclass(frozen=True)
class Star:
    """A point of light: its place in pixels of the whole sensor (centre of the first pixel: 0), photons/s by channel."""

    x: float
    y: float
    photons_per_s: tuple[float, float, float]


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
        """Photons per second behind the filter of every pixel (float32, rows x columns), for a star's width.

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
        by_pixel = np.empty((len(rows), len(columns)))
        for row, column, channel in self.mosaic():
            by_pixel[(row - rows[0]) % 2 :: 2, (column - columns[0]) % 2 :: 2] = star.photons_per_s[channel]
        rates[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] += (by_pixel * np.outer(down, across)).astype(np.float32)


def _pixel_shares(offsets: np.ndarray, sigma: float) -> np.ndarray:
    """How much of a Gaussian falls between the edges of each pixel."""
    from math import erf, sqrt

    edges = np.append(offsets - 0.5, offsets[-1] + 0.5) / (sigma * sqrt(2))
    return np.diff([erf(edge) for edge in edges]) / 2


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
