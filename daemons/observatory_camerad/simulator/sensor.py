"""From photons to numbers: the linear camera model of EMVA 1288 (release 4.0), with a Bayer mosaic.

electrons = quantum efficiency * photons + dark current * time; their number scatters as Poisson's does, the readout adds
a normal noise; gain (numbers per electron) times the analogue gain makes them numbers, cut at the full well and at the
largest number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_FEW_ELECTRONS = 16.0  # above this on average, the normal approximation's skew is lost in the read noise
_TILE = 1 << 22


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


class Sensor:
    """Renders raw frames; the same seed and frame number give the same pixels."""

    def __init__(self, config: SensorConfig, seed: int) -> None:
        self.config = config
        self.largest = (1 << config.bit_depth) - 1
        self._seed = seed
        self._tile: np.ndarray | None = None

    def expose(self, photons_per_s: np.ndarray, exposure_s: float, analogue_gain: float, number: int) -> np.ndarray:
        """The raw frame of a number: uint16, black level included."""
        config = self.config
        generator = np.random.default_rng((self._seed, number))
        electrons = photons_per_s * np.float32(config.quantum_efficiency * exposure_s)
        electrons += np.float32(config.dark_electrons_per_s * exposure_s)
        read_noise = config.read_noise_electrons
        if float(electrons[::16, ::16].mean()) < _FEW_ELECTRONS:
            collected = generator.poisson(electrons).astype(np.float32)
            np.minimum(collected, np.float32(config.full_well_electrons), out=collected)
            collected += self._noise(electrons.shape, generator) * np.float32(read_noise)
        else:
            spread = np.sqrt(electrons + np.float32(read_noise**2))
            spread *= self._noise(electrons.shape, generator)
            collected = electrons
            collected += spread
            np.minimum(collected, np.float32(config.full_well_electrons), out=collected)
        collected *= np.float32(config.numbers_per_electron * analogue_gain)
        collected += np.float32(config.black_level + 0.5)
        np.clip(collected, 0, self.largest, out=collected)
        return collected.astype(np.uint16)

    def _noise(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        """Standard normal numbers, from a tile that is prepared once, at a place that differs from frame to frame."""
        if self._tile is None:
            self._tile = np.random.default_rng(self._seed).standard_normal(_TILE, np.float32)
        size = shape[0] * shape[1]
        if size >= _TILE:
            return generator.standard_normal(shape, np.float32)
        start = int(generator.integers(0, _TILE - size))
        return self._tile[start : start + size].reshape(shape)
