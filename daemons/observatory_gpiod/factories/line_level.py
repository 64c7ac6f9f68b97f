"""The level of a GPIO line that nobody has claimed, read without changing what the line is."""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path

# Of linux/gpio.h, the same on every architecture: the sizes and alignments are fixed there.
_GET_LINE = 0xC250B407
_GET_VALUES = 0xC010B40E
_REQUEST_BYTES = 592
_CONSUMER_AT = 256
_LINES_AT = 560
_DESCRIPTOR_AT = 588


def read_level(chip: Path, line: int) -> bool:
    """The level of a free line of a chip such as /dev/gpiochip0. Raises OSError, also if somebody has the line.

    lgpio's gpio_read makes an input of a line that it has not claimed, and so drops what an output drives. The kernel
    gives out a line as it is if neither input nor output is asked for.
    """
    descriptor = os.open(chip, os.O_RDWR | os.O_CLOEXEC)
    try:
        request = bytearray(_REQUEST_BYTES)
        struct.pack_into("=I", request, 0, line)
        struct.pack_into("=31s", request, _CONSUMER_AT, b"gpiod")
        struct.pack_into("=I", request, _LINES_AT, 1)
        fcntl.ioctl(descriptor, _GET_LINE, request)
        (requested,) = struct.unpack_from("=i", request, _DESCRIPTOR_AT)
    finally:
        os.close(descriptor)
    try:
        values = bytearray(struct.pack("=QQ", 0, 1))
        fcntl.ioctl(requested, _GET_VALUES, values)
    finally:
        os.close(requested)
    return bool(struct.unpack("=QQ", values)[0] & 1)
