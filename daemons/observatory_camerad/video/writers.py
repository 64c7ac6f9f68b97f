"""Packets into files: MP4 in fragments, or the bare H.264 stream. Used by one thread."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Protocol

from observatory_camerad.video.audio import AudioTrack, Chunk
from observatory_camerad.video.encoder import MICROSECONDS, Packet
from observatory_camerad.video.partfile import PartFile
from observatory_common.errors import CommandFailed

if TYPE_CHECKING:
    from av.container import OutputContainer

_BUFFER_BYTES = 1 << 18
_FRAGMENTED = "frag_keyframe+empty_moov+default_base_moof"
_HYBRID_SINCE = (61, 7)  # of libavformat: while it grows the file is in fragments, in the end it is a plain MP4
_INTERLEAVE_US = 1_000_000


class Writer(Protocol):
    """Writes one recording. Raises CommandFailed or OSError."""

    def video(self, packet: Packet, duration_us: int) -> None:
        """Write a packet of the picture; `duration_us` is the time to the next one."""

    def sound(self, chunks: list[Chunk], end_us: int) -> None:
        """Write what was heard up to `end_us`, on the clock of the picture's time stamps."""

    def finish(self) -> None:
        """Write what is needed at the end."""


class RawWriter:
    """The access units one after the other; no times, no sound."""

    def __init__(self, part: PartFile) -> None:
        self._part = part

    def video(self, packet: Packet, duration_us: int) -> None:
        """Write it."""
        self._part.write(packet.data)

    def sound(self, chunks: list[Chunk], end_us: int) -> None:
        """There is no place for it."""

    def finish(self) -> None:
        """Nothing is needed."""


class Mp4Writer:
    """MP4 in fragments of one key frame each, time stamps in microseconds from the first packet's on.

    The first packet must be a key frame with its headers. Raises CommandFailed, OSError.
    """

    def __init__(self, part: PartFile, first: Packet, frame_rate: float, audio: AudioTrack | None = None) -> None:
        import av

        self._part = part
        self._start_us = first.pts_us
        self._audio = audio
        self._stream: Any = None
        self._container: OutputContainer | None = None
        hybrid = av.library_versions["libavformat"] >= _HYBRID_SINCE
        options = {
            "movflags": ("hybrid_fragmented+" if hybrid else "") + _FRAGMENTED,
            "video_track_timescale": "1000000",
            "flush_packets": "1",
            "max_interleave_delta": str(_INTERLEAVE_US),
        }
        try:
            self._container = av.open(part, "w", format="mp4", options=options, buffer_size=_BUFFER_BYTES)
            with av.open(io.BytesIO(first.data), format="h264", options={"framerate": f"{frame_rate:g}"}) as bare:
                self._stream = self._container.add_stream_from_template(bare.streams.video[0])
            self._stream.time_base = MICROSECONDS
            if audio is not None:
                audio.add_to(self._container)
        except (av.FFmpegError, IndexError) as error:
            raise _failure(error) from error

    def video(self, packet: Packet, duration_us: int) -> None:
        """Write it."""
        import av

        if self._container is None:
            raise CommandFailed("the MP4 file is closed")
        made = av.Packet(packet.data)
        made.pts = made.dts = packet.pts_us - self._start_us
        made.duration, made.time_base = duration_us, MICROSECONDS
        made.is_keyframe, made.stream = packet.key, self._stream
        try:
            self._container.mux_one(made)
        except (av.FFmpegError, OSError) as error:
            raise _failure(error) from error

    def sound(self, chunks: list[Chunk], end_us: int) -> None:
        """Encode and write it."""
        import av

        if self._audio is None or self._container is None:
            return
        try:
            for packet in self._audio.encode(chunks, self._start_us, end_us):
                self._container.mux_one(packet)
        except (av.FFmpegError, OSError) as error:
            raise _failure(error) from error

    def finish(self) -> None:
        """Write the index and close; the part file stays open. Nothing more is written once the part file has failed."""
        import av

        container, self._container = self._container, None
        if container is None:
            return
        try:
            if self._audio is not None and self._part.failure is None:
                for packet in self._audio.flush():
                    container.mux_one(packet)
            container.close()
        except (av.FFmpegError, OSError) as error:
            raise _failure(error) from error


def _failure(error: Exception) -> CommandFailed:
    return CommandFailed(f"the video cannot be written: {error}")
