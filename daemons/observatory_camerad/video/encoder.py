"""Frames to H.264, without delay: by the Raspberry Pi's encoder where there is one, else by x264."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from observatory_camerad.video.annexb import Headers
from observatory_common import arguments
from observatory_common.errors import CommandFailed, InvalidArgument

if TYPE_CHECKING:
    import av
    import numpy as np

log = logging.getLogger("camerad.video")

CODECS = ("auto", "h264_v4l2m2m", "libx264")
FORMATS = ("RGB888", "BGR888", "YUV420")
PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium")
MICROSECONDS = Fraction(1, 1_000_000)
_HARDWARE = Path("/dev/video11")
_NEVER = 1_000_000  # frames between key frames, as far as the codec is to care: they are placed by time
_BT601, _LIMITED = 6, 1
_BITS_PER_PIXEL = 0.1


@dataclass(frozen=True)
class VideoFormat:
    """What a decoder must know: the codec as WebCodecs names it, width and height in pixels."""

    codec: str
    width: int
    height: int


@dataclass(frozen=True)
class Packet:
    """An access unit: Annex B bytes, time stamp in microseconds, whether decoding can begin here."""

    data: bytes
    pts_us: int
    key: bool


@dataclass(frozen=True)
class EncoderSettings:
    """How to encode. Raises InvalidArgument.

    `codec` is one of CODECS; `bitrate` in bits per second (0.05 to 100 million), or None for the constant quality `crf`
    (0 to 51, smaller is better; the hardware then takes a tenth of a bit per pixel). `keyframe_s` (0.1 to 60) is the
    longest time between key frames, `frame_rate` (0.1 to 240) what to expect, `threads` 1 or 2.
    """

    codec: str = "auto"
    bitrate: int | None = None
    crf: float = 23.0
    preset: str = "ultrafast"
    keyframe_s: float = 1.0
    frame_rate: float = 30.0
    threads: int = 2

    def __post_init__(self) -> None:
        arguments.choice("codec", self.codec, CODECS)
        if self.bitrate is not None:
            arguments.whole_number("bitrate", self.bitrate, 50_000, 100_000_000)
        arguments.number("crf", self.crf, 0, 51)
        arguments.choice("preset", self.preset, PRESETS)
        arguments.number("keyframe_s", self.keyframe_s, 0.1, 60)
        arguments.number("frame_rate", self.frame_rate, 0.1, 240)
        arguments.whole_number("threads", self.threads, 1, 2)


def size_of(pixels: np.ndarray, format: str) -> tuple[int, int]:
    """Width and height of the picture in a stream's array, cut to even numbers. Raises InvalidArgument."""
    arguments.choice("format", format, FORMATS)
    shape, colours = pixels.shape, format != "YUV420"
    right = len(shape) == 3 and shape[2] == 3 if colours else len(shape) == 2 and shape[0] % 3 == 0 and shape[1] % 2 == 0
    width, height = (shape[1] & ~1, (shape[0] if colours else shape[0] // 3 * 2) & ~1) if right else (0, 0)
    if width < 16 or height < 16 or pixels.dtype.name != "uint8":
        allowed = "rows x columns x 3" if colours else "rows * 3/2 x columns"
        raise InvalidArgument(
            f"{pixels.dtype.name} of shape {shape} is no {format} picture, expected uint8, {allowed}, at least 16 x 16",
            value=str(shape),
            allowed=allowed,
        )
    return width, height


class H264Encoder:
    """Encodes pictures of one size. Used by one thread.

    No B-frames; SPS and PPS stand before every key frame; colours are BT.601, limited range, as `encoding.as_bgr` has
    them. Raises CommandFailed if no codec can be opened.
    """

    def __init__(self, size: tuple[int, int], settings: EncoderSettings | None = None) -> None:
        self.size = size
        self._settings = settings or EncoderSettings()
        self._headers = Headers()
        self._key_wanted = True
        self._key_us = 0
        self._last_us: int | None = None
        self._context: av.VideoCodecContext | None = self._open()
        self.codec_name: str = self._context.codec.name

    @property
    def format(self) -> VideoFormat:
        """What a decoder must know; complete after the first key frame."""
        return VideoFormat(self._headers.codec, *self.size)

    def request_key(self) -> None:
        """Make the next frame a key frame."""
        self._key_wanted = True

    def encode(self, pixels: np.ndarray, format: str, timestamp_us: int) -> list[Packet]:
        """Encode a frame; time stamps must grow, evenly or not. x264 answers with its packet, hardware may answer later.

        The pixels must not be changed until the next call. Raises InvalidArgument for another size or a time stamp that
        does not grow, CommandFailed if the codec fails.
        """
        import av

        if size_of(pixels, format) != self.size:
            raise InvalidArgument(f"a picture of {pixels.shape}, expected one of {self.size}", value=str(pixels.shape))
        if self._last_us is not None and timestamp_us <= self._last_us:
            raise InvalidArgument(
                f"time stamp {timestamp_us} us follows {self._last_us} us", value=timestamp_us, allowed=f"above {self._last_us}"
            )
        # Without a copy PyAV takes the height for a multiple of 4, and the wrong bytes for colours if it is none.
        make = av.VideoFrame.from_ndarray if self.size[1] % 4 else av.VideoFrame.from_numpy_buffer
        frame = make(_as_i420(pixels, format, self.size), format="yuv420p")
        frame.pts, frame.time_base = timestamp_us, MICROSECONDS
        frame.colorspace, frame.color_range = _BT601, _LIMITED
        if self._key_wanted or timestamp_us - self._key_us >= self._settings.keyframe_s * 1e6:
            frame.pict_type = av.video.frame.PictureType.I
            self._key_us, self._key_wanted = timestamp_us, False
        self._last_us = timestamp_us
        return self._packets(frame)

    def flush(self) -> list[Packet]:
        """The packets still inside; nothing can be encoded afterwards. Raises CommandFailed."""
        found = self._packets(None)
        self.close()
        return found

    def close(self) -> None:
        """Let go of the codec. May be called twice."""
        self._context = None

    def _packets(self, frame: av.VideoFrame | None) -> list[Packet]:
        import av

        if self._context is None:
            raise CommandFailed("the encoder is closed")
        try:
            encoded = self._context.encode(frame)
        except (av.FFmpegError, MemoryError) as error:
            raise CommandFailed(f"{self.codec_name} failed: {error}") from error
        found = []
        for packet in encoded:
            data, key = self._headers.complete(bytes(packet))
            if data:
                found.append(Packet(data, packet.pts if packet.pts is not None else self._last_us or 0, key))
        return found

    def _open(self) -> av.VideoCodecContext:
        wanted = self._settings.codec
        if wanted == "auto":
            if _HARDWARE.exists():
                try:
                    return self._opened("h264_v4l2m2m")
                except CommandFailed as error:
                    log.warning("%s; libx264 instead", error)
            wanted = "libx264"
        return self._opened(wanted)

    def _opened(self, name: str) -> av.VideoCodecContext:
        import av

        settings, (width, height) = self._settings, self.size
        try:
            context: Any = av.CodecContext.create(name, "w")
            context.width, context.height, context.pix_fmt = width, height, "yuv420p"
            context.time_base = MICROSECONDS
            context.framerate = Fraction(settings.frame_rate).limit_denominator(1000)
            context.max_b_frames, context.gop_size = 0, _NEVER
            context.colorspace = context.color_primaries = context.color_trc = _BT601
            context.color_range = _LIMITED
            if name == "libx264":
                context.thread_count = settings.threads
                context.options = {"preset": settings.preset, "tune": "zerolatency", "forced-idr": "1", "sc_threshold": "0"}
                if settings.bitrate is None:
                    context.options = {**context.options, "crf": f"{settings.crf:g}"}
                else:
                    bits = str(settings.bitrate)
                    context.options = {**context.options, "maxrate": bits, "bufsize": bits}
            if settings.bitrate is not None:
                context.bit_rate = settings.bitrate
            elif name != "libx264":
                context.bit_rate = max(round(width * height * settings.frame_rate * _BITS_PER_PIXEL), 100_000)
            context.open()
        except (av.FFmpegError, MemoryError) as error:
            raise CommandFailed(f"{name} cannot encode {width} x {height}: {error}", value=name) from error
        opened: av.VideoCodecContext = context
        return opened


def _as_i420(pixels: np.ndarray, format: str, size: tuple[int, int]) -> np.ndarray:
    import cv2
    import numpy as np

    if format == "YUV420":
        return np.ascontiguousarray(pixels)
    width, height = size
    code = cv2.COLOR_BGR2YUV_I420 if format == "RGB888" else cv2.COLOR_RGB2YUV_I420  # libcamera names them backwards
    return cv2.cvtColor(np.ascontiguousarray(pixels[:height, :width]), code)
