"""From photons to numbers: the linear camera model of EMVA 1288 (release 4.0), with a Bayer mosaic.

electrons = quantum efficiency * photons + dark current * time; their number scatters as Poisson's does, the readout adds
a normal noise; gain (numbers per electron) times the analogue gain makes them numbers, cut at the full well and at the
largest number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from observatory_camerad.simulator.noise import MOST_ELECTRONS, NoiseTiles, PoissonTable, bands

_FEW_ELECTRONS = 32.0  # if the median pixel has more, the normal approximation's lack of skew is not seen
_SPARSE = 17, 13  # odd, so that a sample of the pixels has every colour


@dataclass(frozen=True)
class SensorConfig:
    """A sensor: electrons, numbers (12 bits) and seconds."""

    quantum_efficiency: float = 0.6
    full_well_electrons: float = 15000.0
    read_noise_electrons: float = 3.0
    dark_electrons_per_s: float = 0.5
    numbers_per_electron: float = 0.25  # at analogue gain 1
    black_level: int = 256
    bit_depth: int = 12


@dataclass(frozen=True)
class _Exposure:
    """What all frames of the same light, exposure and gain share."""

    rates: np.ndarray
    exposure_s: float
    gain: float
    levels: np.ndarray | None  # in the dark: of the Poisson table
    brighter: np.ndarray  # in the dark: which pixels are beyond the table, and their electrons
    brighter_electrons: np.ndarray


class Sensor:
    """Renders raw frames; the same seed and frame number give the same pixels."""

    def __init__(self, config: SensorConfig, seed: int) -> None:
        self.config = config
        self.largest = (1 << config.bit_depth) - 1
        self._seed = seed
        self._tiles = NoiseTiles(seed)
        self._poisson = PoissonTable()
        self._last: _Exposure | None = None

    def expose(self, photons_per_s: np.ndarray, exposure_s: float, analogue_gain: float, number: int) -> np.ndarray:
        """The raw frame of a number: uint16, black level included.

        What follows from `photons_per_s` (float32, rows x columns) is kept for the next frame: the same array must not be
        changed between two calls.
        """
        last = self._last
        if last is None or last.rates is not photons_per_s or (last.exposure_s, last.gain) != (exposure_s, analogue_gain):
            last = self._last = self._prepare(photons_per_s, exposure_s, analogue_gain)
        return self._read_out(last, np.random.default_rng((self._seed, number)))

    def expose_part(
        self, photons_per_s: np.ndarray, exposure_s: float, analogue_gain: float, number: int, part: int
    ) -> np.ndarray:
        """As `expose`, for a small piece of a frame that has its own light; `part` tells the pieces apart."""
        piece = self._prepare(photons_per_s, exposure_s, analogue_gain)
        return self._read_out(piece, np.random.default_rng((self._seed, number, part + 1)))

    def _prepare(self, rates: np.ndarray, exposure_s: float, gain: float) -> _Exposure:
        sample = self._electrons(rates[:: _SPARSE[0], :: _SPARSE[1]], exposure_s, gain)
        if float(np.median(sample)) >= _FEW_ELECTRONS:
            return _Exposure(rates, exposure_s, gain, None, np.empty(0, np.intp), np.empty(0, np.float32))
        generator = np.random.default_rng(self._seed)
        levels = np.empty(rates.shape, np.uint16)
        brighter, brighter_electrons = [], []
        for rows in bands(rates.shape):
            electrons = self._electrons(rates[rows], exposure_s, gain)
            beyond = np.flatnonzero(electrons > MOST_ELECTRONS)
            brighter.append(beyond + rows.start * rates.shape[1])
            brighter_electrons.append(electrons.reshape(-1)[beyond])
            np.minimum(electrons, np.float32(MOST_ELECTRONS), out=electrons)
            levels[rows] = self._poisson.levels(electrons, self._tiles.uniform(electrons.shape, generator))
        return _Exposure(rates, exposure_s, gain, levels, np.concatenate(brighter), np.concatenate(brighter_electrons))

    def _electrons(self, rates: np.ndarray, exposure_s: float, gain: float) -> np.ndarray:
        """The mean on each pixel, cut where it is far above what can be read, and no noise reaches down from there."""
        config = self.config
        electrons = rates * np.float32(config.quantum_efficiency * exposure_s)
        electrons += np.float32(config.dark_electrons_per_s * exposure_s)
        readable = min(config.full_well_electrons, self.largest / max(config.numbers_per_electron * gain, 1e-9))
        np.minimum(electrons, np.float32(4 * readable + 1000), out=electrons)
        return electrons

    def _read_out(self, exposure: _Exposure, generator: np.random.Generator) -> np.ndarray:
        import cv2

        config = self.config
        scale = config.numbers_per_electron * exposure.gain
        most = int(min(self.largest, round(config.full_well_electrons * scale + config.black_level)))
        numbers = np.empty(exposure.rates.shape, np.uint16)
        sign = 1.0 if generator.integers(2) else -1.0
        for rows in bands(numbers.shape):
            band = numbers[rows]
            noise = self._tiles.normal(band.shape, generator)
            if exposure.levels is None:
                counts = self._electrons(exposure.rates[rows], exposure.exposure_s, exposure.gain)
                noise = self._spread(counts) * noise
                read_noise = sign * scale
            else:
                counts = self._poisson.draw(exposure.levels[rows], self._tiles.uniform(band.shape, generator))
                read_noise = sign * scale * config.read_noise_electrons
            # rounds, and cuts below 0 and above 65535
            cv2.addWeighted(counts, scale, noise, read_noise, config.black_level, dst=band, dtype=cv2.CV_16U)
        bright = exposure.brighter_electrons
        bright = bright + generator.standard_normal(len(bright), np.float32) * self._spread(bright)
        numbers.reshape(-1)[exposure.brighter] = np.clip(np.rint(bright * scale + config.black_level), 0, most)
        np.minimum(numbers, np.uint16(most), out=numbers)
        return numbers

    def _spread(self, electrons: np.ndarray) -> np.ndarray:
        """The standard deviation of what is read out, in electrons."""
        spread = electrons + np.float32(self.config.read_noise_electrons**2)
        return np.sqrt(spread, out=spread)
