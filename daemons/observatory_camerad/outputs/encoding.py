"""Pictures as bytes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from observatory_camerad.outputs.exif import with_exif
from observatory_common.errors import CommandFailed

if TYPE_CHECKING:
    import numpy as np

FORMATS = ("jpg", "png", "tiff", "bmp")


def prepare() -> None:
    """Load the libraries, so that the first picture is as fast as the others."""
    import cv2
    from PIL import Image, TiffImagePlugin

    _ = cv2, Image, TiffImagePlugin


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


def encode(
    array: np.ndarray, stream_format: str, file_format: str = "jpg", quality: int = 90, exif: bytes | None = None
) -> bytes:
    """A picture in one of FORMATS, with an EXIF block if one is given (BMP has no place for it). Raises CommandFailed."""
    import cv2

    picture = as_bgr(array, stream_format)
    if file_format == "tiff" and exif is not None:
        return _tiff(picture, exif)
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if file_format == "jpg" else []
    try:
        done, data = cv2.imencode(f".{file_format}", picture, options)
    except cv2.error as error:
        raise CommandFailed(f"the picture could not be encoded as {file_format}: {error}") from error
    if not done:
        raise CommandFailed(f"the picture could not be encoded as {file_format}")
    if exif is not None and file_format in ("jpg", "png"):
        return with_exif(data.tobytes(), exif)
    return data.tobytes()


def _tiff(picture: np.ndarray, exif: bytes) -> bytes:
    """Uncompressed, since libtiff writes no EXIF directory."""
    import cv2
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)).save(buffer, "TIFF", exif=exif)
    return buffer.getvalue()
