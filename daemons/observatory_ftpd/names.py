"""Names in the drop folder: which are ftpd's own, and which a photo has."""

from __future__ import annotations

import re

PHOTO_FORMATS = ("jpg", "png", "tiff", "bmp", "fits")
OWN_NAMES = "test*.jpg, *.report, *.default"
_PHOTO = re.compile(rf"test(\d*)\.(?:{'|'.join(PHOTO_FORMATS)})", re.IGNORECASE)


def is_own(name: str) -> bool:
    """Whether only ftpd writes a file of this name."""
    return name.lower().endswith((".report", ".default")) or _PHOTO.fullmatch(name) is not None


def photo_number(name: str) -> int | None:
    """The number of a test photo; None for other names, and for the photo of the start, which has none."""
    match = _PHOTO.fullmatch(name)
    return int(match[1]) if match is not None and match[1] else None
