"""Frames of a camera driver, as the contract of the drivers looks at them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from observatory_camerad.drivers.base import CameraDriver, Capabilities, Request


def latest(driver: CameraDriver, count: int = 1) -> Request:
    """The last of so many frames; the others are released."""
    for number in range(count):
        request = driver.next_request(10)
        assert request is not None
        if number < count - 1:
            request.release()
    return request


def metadata_when(driver: CameraDriver, wanted: Callable[[Any], bool], frames: int = 15) -> tuple[Any, bool]:
    """The metadata of the first of so many frames that are as wanted, or of the last; and whether they are."""
    for _ in range(frames):
        request = latest(driver)
        metadata = dict(request.metadata)
        request.release()
        if wanted(metadata):
            return metadata, True
    return metadata, False


def manual(opened: Capabilities, **values: Any) -> dict[str, Any]:
    """The values, with auto exposure off where there is one."""
    return {**({"AeEnable": False} if "AeEnable" in opened.controls else {}), **values}


def picture(driver: CameraDriver, count: int = 4) -> np.ndarray:
    """The main stream in grey, smoothed so that noise and a pixel's shift count little."""
    request = latest(driver, count)
    grey = cv2.cvtColor(request.array("main"), cv2.COLOR_BGR2GRAY).astype(np.float32)
    request.release()
    return cv2.GaussianBlur(grey, (0, 0), 3)


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    """Correlation of two pictures: 1 for the same."""
    spread = float(one.std() * other.std())
    return 1.0 if spread == 0 else float(np.mean((one - one.mean()) * (other - other.mean()))) / spread
