"""Frames for video: moving pictures of known colours, fed at known times, and what a player makes of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from observatory_camerad.video.encoder import Packet

WIDTH, HEIGHT = 320, 240
COLOURS = {"red": (0, 0, 255), "green": (0, 255, 0), "blue": (255, 0, 0), "grey": (128, 128, 128)}  # as blue, green, red
TIMES_US = [7_000_000 + round(number * 33_333.3) + (number % 3) * 411 + (number > 12) * 250_000 for number in range(50)]


def picture(number: int = 0, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """RGB888: four coloured quarters and a white block that moves."""
    pixels = np.empty((height, width, 3), np.uint8)
    red, green, blue, grey = COLOURS.values()
    pixels[: height // 2, : width // 2], pixels[: height // 2, width // 2 :] = red, green
    pixels[height // 2 :, : width // 2], pixels[height // 2 :, width // 2 :] = blue, grey
    left = number * 4 % (width - 16)
    pixels[height // 2 - 8 : height // 2 + 8, left : left + 16] = 255
    return pixels


def in_format(pixels: np.ndarray, format: str) -> np.ndarray:
    """An RGB888 picture in another of libcamera's formats."""
    import cv2

    if format == "BGR888":
        return np.ascontiguousarray(pixels[:, :, ::-1])
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2YUV_I420) if format == "YUV420" else pixels


def corners(pixels: np.ndarray) -> dict[str, tuple[int, ...]]:
    """The colours found in the middle of the quarters of a decoded picture."""
    height, width = pixels.shape[:2]
    spots = [(1, 1), (1, 3), (3, 1), (3, 3)]
    return {
        name: tuple(int(v) for v in pixels[height * y // 4, width * x // 4])
        for name, (y, x) in zip(COLOURS, spots, strict=True)
    }


def wrong_colours(pixels: np.ndarray, tolerance: int = 14) -> dict[str, tuple[int, ...]]:
    """Those that are off by more than `tolerance`."""
    found = corners(pixels)
    return {name: value for name, value in found.items() if np.abs(np.subtract(value, COLOURS[name])).max() > tolerance}


def noise(number: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """A picture that compresses badly."""
    return np.random.default_rng(number).integers(0, 255, (height, width, 3), dtype=np.uint8)


def decoded(packets: Iterable[Packet]) -> list[np.ndarray]:
    """The pictures in access units, blue first. The decoder starts with the first of them."""
    import av

    context = av.CodecContext.create("h264", "r")
    context.flags |= 0x80000  # low delay
    frames = [frame for packet in packets for frame in context.decode(av.Packet(packet.data))]
    frames += context.decode(None)
    return [frame.to_ndarray(format="bgr24") for frame in frames]


def played(path: Path) -> tuple[list[int], float, np.ndarray]:
    """The time stamps in microseconds of all frames of a file, its duration in seconds, and the last picture."""
    import av

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        times = [round(frame.pts * frame.time_base * 1_000_000) for frame in frames]
        return times, container.duration / av.time_base, frames[-1].to_ndarray(format="bgr24")
