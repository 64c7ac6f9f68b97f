"""From a raw mosaic to a picture: black level, white balance, tone curve, demosaic, colour; what the controls ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from observatory_camerad.drivers.base import Rectangle, Stream

_GAMMA = 1 / 2.2


@dataclass(frozen=True)
class Look:
    """The controls that act on the picture alone, in libcamera's ranges (1 is neutral, Brightness 0)."""

    brightness: float = 0.0
    contrast: float = 1.0
    saturation: float = 1.0
    sharpness: float = 1.0
    noise_reduction: int = 0


def picture(
    raw: np.ndarray,
    pattern: str,
    levels: tuple[int, int],
    gains: tuple[float, float],
    digital_gain: float,
    look: Look,
    crop: Rectangle,
    stream: Stream,
) -> np.ndarray:
    """A picture, as the stream's format and size have it, of a rectangle of a raw frame.

    The rectangle is in the frame's own pixels, of whole mosaic cells; `levels` are the raw numbers of black and white.
    """
    import cv2

    x, y, width, height = crop
    mosaic = raw[y : y + height, x : x + width]
    tones = _tones(levels, gains, digital_gain, look)
    # libcamera names the bytes from the last to the first: its RGB888 has blue first.
    order = "BGR" if stream.format == "RGB888" else "RGB"
    halves = width >= 2 * stream.size[0] and height >= 2 * stream.size[1]
    colours = _by_cells(mosaic, pattern, tones, order) if halves else _by_pixels(mosaic, pattern, tones, order)
    if colours.shape[1::-1] != stream.size:
        shrinks = stream.size[0] < colours.shape[1]
        colours = cv2.resize(colours, stream.size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    if look.noise_reduction in _SMOOTHING:
        colours = cv2.GaussianBlur(colours, (_SMOOTHING[look.noise_reduction],) * 2, 0)
    if look.saturation != 1.0:
        weights = [_LUMINANCE[letter] for letter in order]
        mixing = look.saturation * np.eye(3) + (1 - look.saturation) * np.array([weights] * 3)
        colours = cv2.transform(colours, mixing.astype(np.float32))
    if look.sharpness != 1.0:
        soft = cv2.GaussianBlur(colours, (0, 0), 1.0)
        colours = cv2.addWeighted(colours, look.sharpness, soft, 1 - look.sharpness, 0)
    return cv2.cvtColor(colours, cv2.COLOR_RGB2YUV_I420) if stream.format == "YUV420" else colours


def _by_pixels(mosaic: np.ndarray, pattern: str, tones: Mapping[str, np.ndarray], order: str) -> np.ndarray:
    """As large as the mosaic."""
    import cv2

    balanced = np.empty(mosaic.shape, np.uint8)
    for number, letter in enumerate(pattern):
        row, column = divmod(number, 2)
        balanced[row::2, column::2] = np.take(tones[letter], mosaic[row::2, column::2], mode="clip")
    return cv2.cvtColor(balanced, _DEMOSAIC[order][pattern])


def _by_cells(mosaic: np.ndarray, pattern: str, tones: Mapping[str, np.ndarray], order: str) -> np.ndarray:
    """Half as large, a pixel for each cell: for small pictures, where nobody sees the colours' shift of half a pixel."""
    import cv2

    planes: dict[str, np.ndarray] = {}
    for number, letter in enumerate(pattern):
        row, column = divmod(number, 2)
        plane = mosaic[row::2, column::2]
        planes[letter] = (planes[letter] >> 1) + (plane >> 1) if letter in planes else plane
    return cv2.merge([np.take(tones[letter], planes[letter], mode="clip") for letter in order])


#: OpenCV names a mosaic by its second row and column.
_DEMOSAIC = {
    "RGB": {"RGGB": 48, "GRBG": 49, "BGGR": 46, "GBRG": 47},
    "BGR": {"RGGB": 46, "GRBG": 47, "BGGR": 48, "GBRG": 49},
}
_LUMINANCE = {"R": 0.299, "G": 0.587, "B": 0.114}
#: Widths in pixels of the Gaussian for NoiseReductionMode Fast and HighQuality.
_SMOOTHING = {1: 3, 2: 5}


def _tones(levels: tuple[int, int], gains: tuple[float, float], digital_gain: float, look: Look) -> dict[str, np.ndarray]:
    """For each channel, the tone of every raw number."""
    black, white = levels
    numbers = np.clip(np.arange(white + 1, dtype=np.float32) - black, 0, None) * np.float32(digital_gain / (white - black))
    tones = {}
    for letter, gain in (("R", gains[0]), ("G", 1.0), ("B", gains[1])):
        tone = np.clip(numbers * np.float32(gain), 0, 1) ** np.float32(_GAMMA)
        tone = np.clip((tone - 0.5) * look.contrast + 0.5 + look.brightness, 0, 1)
        tones[letter] = (tone * 255 + 0.5).astype(np.uint8)
    return tones
