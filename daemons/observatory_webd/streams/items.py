"""Pictures and video packets, and the bytes they become for a browser."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import Any

BOUNDARY = b"frame"  # raspiCamSrv's
MJPEG_TYPE = b"multipart/x-mixed-replace; boundary=" + BOUNDARY
#: What stands before the first part.
MJPEG_BEGIN = b"--" + BOUNDARY + b"\r\n"

MESSAGE_VERSION = 1
_KEY = 1
#: Before each picture or packet on a WebSocket, big-endian: version (1), flags (bit 0: a decoder can begin here), the
#: header's size in bytes, number, time stamp in microseconds UTC (0: unknown).
_HEADER = struct.Struct("!BBHQQ")
_BINARY, _TEXT = 0x82, 0x81  # whole messages of one frame


@dataclass(frozen=True)
class Format:
    """What a decoder of a stream's items must know. `codec` is `jpeg` or as WebCodecs names it; sizes in pixels, or None."""

    codec: str
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True)
class Item:
    """A JPEG picture, or an H.264 access unit (Annex B).

    `number` grows in each run of camerad; `timestamp_us` is when its readout began, in microseconds UTC (0: unknown); with
    `key` a decoder can begin here. Items of one format share the Format object.
    """

    number: int
    timestamp_us: int
    key: bool
    data: bytes
    format: Format


def timestamp(item: Item) -> str:
    """Seconds UTC, as the header X-Timestamp has them."""
    return "{}.{:06d}".format(*divmod(item.timestamp_us, 1_000_000))


def mjpeg_part(item: Item) -> bytes:
    """A part and the boundary after it, since a browser shows a picture only once it has seen the next boundary."""
    stamp = f"X-Timestamp: {timestamp(item)}\r\n".encode() if item.timestamp_us else b""
    head = b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n%s\r\n" % (len(item.data), stamp)
    return b"".join((head, item.data, b"\r\n", MJPEG_BEGIN))


def socket_message(item: Item) -> bytes:
    """A whole binary WebSocket message as it goes over the wire, never compressed: header and data."""
    header = _HEADER.pack(MESSAGE_VERSION, _KEY if item.key else 0, _HEADER.size, item.number, item.timestamp_us)
    return b"".join((_frame_head(_BINARY, len(header) + len(item.data)), header, item.data))


def socket_text(value: dict[str, Any]) -> bytes:
    """A whole WebSocket text message as it goes over the wire."""
    text = json.dumps(value).encode()
    return _frame_head(_TEXT, len(text)) + text


def format_message(format: Format) -> bytes:
    """The text message that stands before the first item of a format."""
    return socket_text({"type": "format", "codec": format.codec, "width": format.width, "height": format.height})


def _frame_head(kind: int, size: int) -> bytes:
    """Of RFC 6455, section 5.2, as a server sends it: final, not masked."""
    if size < 126:
        return struct.pack("!BB", kind, size)
    if size < 1 << 16:
        return struct.pack("!BBH", kind, 126, size)
    return struct.pack("!BBQ", kind, 127, size)
