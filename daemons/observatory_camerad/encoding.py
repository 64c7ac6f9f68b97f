"""Pictures as bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observatory_common.errors import CommandFailed

if TYPE_CHECKING:
    import numpy as np

FORMATS = ("jpg", "png", "tiff", "bmp")


def as_bgr(array: np.ndarray, format: str) -> np.ndarray:
    """A stream's array as OpenCV wants it: rows x columns x 3, blue first. libcamera's RGB888 is just that."""
    import cv2

    if format == "RGB888":
        return array
    if format == "BGR888":
        return array[:, :, ::-1]
    if format == "YUV420":
        return cv2.cvtColor(array, cv2.COLOR_YUV2BGR_I420)
    raise CommandFailed(f"a picture of format {format} cannot be encoded")


def encode(array: np.ndarray, stream_format: str, file_format: str = "jpg", quality: int = 90) -> bytes:
    """A picture in one of FORMATS. Raises CommandFailed."""
    import cv2

    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if file_format == "jpg" else []
    done, data = cv2.imencode(f".{file_format}", as_bgr(array, stream_format), options)
    if not done:
        raise CommandFailed(f"the picture could not be encoded as {file_format}")
    return data.tobytes()
