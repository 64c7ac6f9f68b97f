"""From a raw mosaic to a picture: black level, white balance, tone curve, demosaic, colour; what the controls ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from observatory_camerad.drivers.base import Rectangle, Size

_GAMMA = 1 / 2.2


@dataclass(frozen=True)
class Look:
    """The controls that act on the picture alone, in libcamera's ranges (1 is neutral, Brightness 0)."""

    brightness: float = 0.0
    contrast: float = 1.0
    saturation: float = 1.0
    sharpness: float = 1.0


def picture(
    raw: np.ndarray,
    pattern: str,
    black_level: int,
    largest: int,
    gains: tuple[float, float],
    digital_gain: float,
    look: Look,
    crop: Rectangle,
    size: Size,
) -> np.ndarray:
    """RGB, 8 bits, of a rectangle of a raw frame (in its own pixels), scaled to a size."""
    import cv2

    x, y, width, height = (value & ~1 for value in crop)  # whole mosaic cells
    mosaic = raw[y : y + height, x : x + width]
    tones = _tones(black_level, largest, gains, digital_gain, look)
    balanced = np.empty(mosaic.shape, np.uint8)
    for number, letter in enumerate(pattern):
        row, column = divmod(number, 2)
        np.take(tones["RGB".index(letter)], mosaic[row::2, column::2], out=balanced[row::2, column::2], mode="clip")
    colours = cv2.cvtColor(balanced, _DEMOSAIC[pattern])
    if colours.shape[1::-1] != size:
        shrinks = size[0] < width
        colours = cv2.resize(colours, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    if look.saturation != 1.0:
        grey = np.array([[0.299, 0.587, 0.114]] * 3, np.float32)
        colours = cv2.transform(colours, look.saturation * np.eye(3, dtype=np.float32) + (1 - look.saturation) * grey)
    if look.sharpness != 1.0:
        soft = cv2.GaussianBlur(colours, (0, 0), 1.0)
        colours = cv2.addWeighted(colours, look.sharpness, soft, 1 - look.sharpness, 0)
    return colours


#: OpenCV names a mosaic by its second row and column.
_DEMOSAIC = {"RGGB": 48, "GRBG": 49, "BGGR": 46, "GBRG": 47}


def _tones(
    black_level: int, largest: int, gains: tuple[float, float], digital_gain: float, look: Look
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each channel, the tone of every raw number."""
    numbers = np.clip(np.arange(largest + 1) - black_level, 0, None) / (largest - black_level) * digital_gain
    channels = []
    for gain in (gains[0], 1.0, gains[1]):
        tone = np.clip(numbers * gain, 0, 1) ** _GAMMA
        tone = np.clip((tone - 0.5) * look.contrast + 0.5 + look.brightness, 0, 1)
        channels.append((tone * 255 + 0.5).astype(np.uint8))
    return channels[0], channels[1], channels[2]
