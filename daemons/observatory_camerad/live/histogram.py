"""How the tones of a frame are spread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from observatory_camerad.outputs.encoding import as_bgr

if TYPE_CHECKING:
    import numpy as np

BINS = 256


def of_picture(pixels: np.ndarray, stream_format: str) -> dict[str, Any]:
    """Counts of the 256 tones of red, green, blue and luma, and the share of pixels at either end."""
    import cv2
    import numpy as np

    picture = np.ascontiguousarray(as_bgr(pixels, stream_format))
    planes = {"blue": picture[:, :, 0], "green": picture[:, :, 1], "red": picture[:, :, 2]}
    planes["luma"] = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    return {"bins": BINS, "largest": BINS - 1, **_counted(planes, BINS - 1)}


def of_raw(pixels: np.ndarray, pattern: str | None, bit_depth: int) -> dict[str, Any]:
    """The same of a raw frame's numbers, in 256 bins over the sensor's range; planes are named by the mosaic's letters."""
    largest = (1 << bit_depth) - 1
    if pattern is None:
        return {"bins": BINS, "largest": largest, **_counted({"mono": pixels}, largest)}
    planes = {}
    for number, letter in enumerate(pattern):
        name = letter if pattern.count(letter) == 1 else f"{letter}{number}"
        planes[name] = pixels[number // 2 :: 2, number % 2 :: 2]
    return {"bins": BINS, "largest": largest, **_counted(planes, largest)}


def _counted(planes: dict[str, np.ndarray], largest: int) -> dict[str, Any]:
    import numpy as np

    width = (largest + 1) // BINS
    counts = {}
    means = {}
    saturated = {}
    for name, plane in planes.items():
        counted = np.bincount(np.minimum(plane, largest).ravel(), minlength=largest + 1)
        counts[name] = counted.reshape(BINS, width).sum(axis=1).tolist()
        means[name] = float(plane.mean())
        saturated[name] = float(counted[-1] / plane.size)
    return {"counts": counts, "means": means, "saturated": saturated}
