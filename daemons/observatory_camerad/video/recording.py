"""One recording: from a key frame to its end, whatever ends it, and what came of it."""

from __future__ import annotations

import threading
from array import array
from bisect import bisect_left
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from observatory_camerad.outputs import encoding
from observatory_camerad.outputs.disk import no_room
from observatory_camerad.video.audio import LONGEST_SYNC_S, AudioSource, AudioTrack
from observatory_camerad.video.encoder import Packet
from observatory_camerad.video.partfile import PartFile, keep_part, recover
from observatory_camerad.video.writers import Mp4Writer, RawWriter, Writer
from observatory_common import arguments
from observatory_common.errors import CommandFailed, InvalidArgument, ObservatoryError

if TYPE_CHECKING:
    import numpy as np

ENDINGS = (".mp4", ".h264")
RESERVE_BYTES = 256 << 20
_LONGEST_S = 7 * 86_400.0


@dataclass(frozen=True)
class RecordingResult:
    """What came of a recording.

    `path` is None if nothing was kept; `dropped` counts the frames that the encoder could not take in time; `reason` says
    what ended it (such as `stopped`, `duration reached`), `error` is None if that was no failure. `thumbnail` is the first
    frame as JPEG. `audio_error` says why the sound ended early.
    """

    name: str
    path: Path | None
    frames: int
    dropped: int
    duration_s: float
    size: int
    reason: str
    error: ObservatoryError | None
    audio_error: str | None
    thumbnail: bytes | None


@dataclass(frozen=True)
class RecordingLimits:
    """What ends a recording by itself: `duration_s` (above 0, to 7 days; by the frames' time stamps) or None, and less than
    `reserve_bytes` left on the disk. `audio_sync_s` (-2 to 2) delays the sound. Raises InvalidArgument."""

    duration_s: float | None = None
    reserve_bytes: int = RESERVE_BYTES
    audio_sync_s: float = 0.0

    def __post_init__(self) -> None:
        if self.duration_s is not None:
            arguments.number("duration_s", self.duration_s, 0.001, _LONGEST_S)
        arguments.whole_number("reserve_bytes", self.reserve_bytes, 0, 2**63)
        arguments.number("audio_sync_s", self.audio_sync_s, -LONGEST_SYNC_S, LONGEST_SYNC_S)


class Recording:
    """Writes packets into a file. `stop`, `wait` and the properties are for any thread, the rest for the stream's.

    The ending of `path` chooses the format: .mp4, or .h264 for the bare stream. `stop` calls `ask_to_stop`; `on_end` is
    called with the result in the stream's thread and must be quick. Owns the started `audio`. Raises InvalidArgument for
    another ending, NoRoom, CommandFailed if there is such a file, OSError.
    """

    def __init__(
        self,
        path: Path,
        limits: RecordingLimits,
        frame_rate: float,
        *,
        audio: AudioSource | None = None,
        ask_to_stop: Callable[[Recording], None] = lambda recording: None,
        on_end: Callable[[RecordingResult], None] = lambda result: None,
    ) -> None:
        if path.suffix not in ENDINGS:
            raise InvalidArgument(
                f"a recording cannot be called {path.name}, expected an ending {' or '.join(ENDINGS)}", value=path.name
            )
        self.path = path
        self._limits = limits
        self._frame_rate = frame_rate
        self._audio = audio
        self._ask_to_stop = ask_to_stop
        self._on_end = on_end
        self._part = PartFile(path)
        free = self._part.free_bytes
        if free < limits.reserve_bytes:
            self._part.discard()
            raise no_room(path.parent, limits.reserve_bytes, free)
        self._writer: Writer | None = None
        self._held: Packet | None = None  # until the next one tells how long it is shown
        self._interval_us = round(1e6 / frame_rate)
        self._times = array("q")
        self._end_us = 0
        self._thumbnail: bytes | None = None
        self._dropped = 0
        self._result: RecordingResult | None = None
        self._ended = threading.Event()

    # from any thread

    @property
    def ended(self) -> bool:
        """Whether there is a result."""
        return self._ended.is_set()

    @property
    def begun(self) -> bool:
        """Whether it has a picture."""
        return self._writer is not None

    @property
    def frames(self) -> int:
        """Frames so far."""
        return len(self._times)

    @property
    def duration_s(self) -> float:
        """Seconds so far, by the frames' time stamps."""
        return max(self._end_us, 0) / 1e6

    def stop(self) -> None:
        """Ask it to end, with all frames that were offered before."""
        self._ask_to_stop(self)

    def wait(self, timeout_s: float) -> RecordingResult | None:
        """What came of it; None if it has not ended within `timeout_s` seconds."""
        self._ended.wait(timeout_s)
        return self._result

    # from the stream's thread

    def frame(self, pixels: np.ndarray, format: str) -> None:
        """A frame that is being encoded; the first one becomes the thumbnail."""
        if self._thumbnail is None and not self.ended:
            with suppress(CommandFailed):
                self._thumbnail = encoding.encode(pixels, format)

    def dropped(self) -> None:
        """A frame was lost."""
        self._dropped += 1

    def packet(self, packet: Packet) -> None:
        """Write a packet; those before the first key frame are left out."""
        if self.ended:
            return
        try:
            self._take(packet)
        except (CommandFailed, OSError) as error:
            self._broken(error)

    def end(self, reason: str, error: ObservatoryError | None = None) -> None:
        """Finish the file and give it its name; what is written is kept although there was an error elsewhere."""
        if self.ended:
            return
        if self._writer is None:
            self._part.discard()
            self._finish(None, 0, reason, error or CommandFailed("the recording has no frame"))
            return
        try:
            if self._held is not None:
                self._write(self._writer, self._held, self._interval_us)
            self._writer.finish()
            size = self._part.keep()
        except (CommandFailed, OSError) as failure:
            self._broken(failure)
            return
        self._finish(self.path, size, reason, error)

    def _take(self, packet: Packet) -> None:
        limits = self._limits
        if self._writer is None:
            if not packet.key:
                return
            self._writer = self._begun(packet)
        elif self._held is not None:
            self._interval_us = packet.pts_us - self._held.pts_us
            self._write(self._writer, self._held, self._interval_us)
            self._held = None
            if limits.duration_s is not None and packet.pts_us - self._times[0] >= limits.duration_s * 1e6:
                self.end("duration reached")
                return
            if packet.key and self._part.free_bytes < limits.reserve_bytes:
                self.end(f"less than {limits.reserve_bytes} bytes left on the disk")
                return
        self._held = packet

    def _begun(self, first: Packet) -> Writer:
        if self.path.suffix == ".h264":
            return RawWriter(self._part)
        audio, track = self._audio, None
        if audio is not None:
            track = AudioTrack(audio.rate, audio.channels, self._limits.audio_sync_s)
        return Mp4Writer(self._part, first, self._frame_rate, track)

    def _write(self, writer: Writer, packet: Packet, duration_us: int) -> None:
        writer.video(packet, duration_us)
        self._times.append(packet.pts_us)
        self._end_us = packet.pts_us + duration_us - self._times[0]
        if self._audio is not None:
            writer.sound(self._audio.take(), packet.pts_us + duration_us)

    def _broken(self, error: CommandFailed | OSError) -> None:
        """The file cannot be written: keep what of it can be played."""
        why = error if isinstance(error, CommandFailed) else CommandFailed(f"the video cannot be written: {error}")
        self._part.freeze(error if isinstance(error, OSError) else OSError(str(error)))
        if self._writer is not None:
            with suppress(CommandFailed, OSError):
                self._writer.finish()
        self._part.close()
        part = recover(self._part.path)
        path, size = None, 0
        if part is not None:
            with suppress(CommandFailed, OSError):
                path = keep_part(part)
                size = path.stat().st_size
        if part is None:
            self._part.discard()
            self._times = array("q")
            self._end_us = 0
        elif part.duration_s is not None:
            self._end_us = round(part.duration_s * 1e6)
            del self._times[bisect_left(self._times, self._times[0] + self._end_us) :]
        self._finish(path, size, "the file cannot be written", why)

    def _finish(self, path: Path | None, size: int, reason: str, error: ObservatoryError | None) -> None:
        audio_error = None
        if self._audio is not None:
            audio_error = self._audio.error
            self._audio.close(1.0)
        self._held = self._writer = None
        self._result = RecordingResult(
            name=self.path.name,
            path=path,
            frames=self.frames,
            dropped=self._dropped,
            duration_s=self.duration_s,
            size=size,
            reason=reason,
            error=error,
            audio_error=audio_error,
            thumbnail=self._thumbnail,
        )
        self._ended.set()
        self._on_end(self._result)
