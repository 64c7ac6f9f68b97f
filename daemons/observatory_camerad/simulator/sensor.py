"""From photons to numbers: the linear camera model of EMVA 1288 (release 4.0), with a Bayer mosaic.

electrons = quantum efficiency * photons + dark current * time; their number scatters as Poisson's does, the readout adds
a normal noise; gain (numbers per electron) times the analogue gain makes them numbers, cut at the full well and at the
largest number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from observatory_camerad.simulator.noise import MOST_ELECTRONS, NoiseTiles, PoissonTable

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
    """What all frames of the same light, exposure and gain share. Numbers, unless said otherwise."""

    rates: np.ndarray
    exposure_s: float
    gain: float
    levels: np.ndarray | None  # in the dark: levels of the Poisson table
    brighter: np.ndarray | None  # in the dark: which pixels are beyond the table; `mean` and `spread` are theirs alone
    mean: np.ndarray
    spread: np.ndarray


class Sensor:
    """Renders raw frames; the same seed and frame number give the same pixels."""

    def __init__(self, config: SensorConfig, seed: int) -> None:
        self.config = config
        self.largest = (1 << config.bit_depth) - 1
        self._seed = seed
        self._tiles = NoiseTiles(seed)
        self._poisson: PoissonTable | None = None
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
        config = self.config
        electrons = rates * np.float32(config.quantum_efficiency * exposure_s)
        electrons += np.float32(config.dark_electrons_per_s * exposure_s)
        scale = np.float32(config.numbers_per_electron * gain)
        # Far enough above what can be read to be cut for sure, and small enough for the noise not to reach down from there.
        readable = min(config.full_well_electrons, self.largest / max(config.numbers_per_electron * gain, 1e-9))
        np.minimum(electrons, np.float32(4 * readable + 1000), out=electrons)
        levels = brighter = None
        if float(np.median(electrons[:: _SPARSE[0], :: _SPARSE[1]])) < _FEW_ELECTRONS:
            if self._poisson is None:
                self._poisson = PoissonTable()
            flat = electrons.reshape(-1)
            brighter = np.flatnonzero(flat > MOST_ELECTRONS)
            dither = self._tiles.uniform(rates.shape, np.random.default_rng(self._seed))
            levels = self._poisson.levels(np.minimum(electrons, np.float32(MOST_ELECTRONS)), dither)
            electrons = flat[brighter]
        # In place: with memory that is taken anew for each step this would take twice as long.
        spread = electrons + np.float32(config.read_noise_electrons**2)
        np.sqrt(spread, out=spread)
        spread *= scale
        electrons *= scale
        electrons += np.float32(config.black_level)
        return _Exposure(rates, exposure_s, gain, levels, brighter, electrons, spread)

    def _read_out(self, exposure: _Exposure, generator: np.random.Generator) -> np.ndarray:
        import cv2

        config = self.config
        scale = config.numbers_per_electron * exposure.gain
        most = int(min(self.largest, round(config.full_well_electrons * scale + config.black_level)))
        numbers = np.empty(exposure.rates.shape, np.uint16)
        sign = 1.0 if generator.integers(2) else -1.0
        noise = self._tiles.normal(numbers.shape, generator)
        if exposure.levels is None or exposure.brighter is None:
            scattered = cv2.multiply(noise, exposure.spread, scale=sign)
            cv2.add(scattered, exposure.mean, dst=numbers, dtype=cv2.CV_16U)  # rounds, and cuts below 0 and above 65535
        else:
            assert self._poisson is not None
            counts = self._poisson.draw(exposure.levels, self._tiles.uniform(numbers.shape, generator))
            read_noise = sign * scale * config.read_noise_electrons
            cv2.addWeighted(counts, scale, noise, read_noise, config.black_level, dst=numbers, dtype=cv2.CV_16U)
            bright = exposure.mean + generator.standard_normal(len(exposure.mean), np.float32) * exposure.spread
            numbers.reshape(-1)[exposure.brighter] = np.clip(np.rint(bright), 0, most)
        np.minimum(numbers, np.uint16(most), out=numbers)
        return numbers
