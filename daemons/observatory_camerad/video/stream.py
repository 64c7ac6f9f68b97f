"""The video of one stream: encoded by a thread of its own, while somebody watches or records, and never waited for."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from observatory_camerad.video.audio import AudioSource
from observatory_camerad.video.encoder import EncoderSettings, H264Encoder, Packet, size_of
from observatory_camerad.video.library import require_library
from observatory_camerad.video.packets import PacketRing
from observatory_camerad.video.recording import Recording, RecordingLimits, RecordingResult
from observatory_common.errors import Blocked, CommandFailed, ObservatoryError
from observatory_common.framed import Framed

if TYPE_CHECKING:
    import numpy as np

log = logging.getLogger("camerad.video")

_QUEUE_FRAMES = 8  # an encoder that starts takes some frames' time
_LOOK_EVERY_S = 0.5
_BACK_OFF_S = 1.0
_NEW_CLOCK_US = 1_000_000  # a time stamp so much before the last one is of another clock


@dataclass(frozen=True)
class _Frame:
    pixels: np.ndarray
    format: str
    timestamp_us: int


@dataclass(frozen=True)
class _Start:
    recording: Recording


@dataclass(frozen=True)
class _Stop:
    recording: Recording


class VideoStream:
    """Packets and recordings of one stream. `offer` belongs to the camera's thread, the rest to any other."""

    def __init__(
        self,
        name: str,
        boot_id: str,
        settings: EncoderSettings | None = None,
        make_encoder: Callable[[tuple[int, int], EncoderSettings], H264Encoder] = H264Encoder,
    ) -> None:
        self.name = name
        self.last_error: str | None = None
        self.frames = 0
        self.dropped = 0
        self._settings = settings or EncoderSettings()
        self._make_encoder = make_encoder
        self._ring = PacketRing(boot_id)
        self._starting = threading.Lock()  # held over file operations, which no frame may wait for
        self._changed = threading.Condition()
        self._items: deque[_Frame | _Start | _Stop] = deque()
        self._queued = 0
        self._recording: Recording | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=f"camerad-video-{name}", daemon=True)
        # the thread's own
        self._encoder: H264Encoder | None = None
        self._shape: tuple[tuple[int, ...], str] | None = None
        self._active: Recording | None = None
        self._last_us: int | None = None
        self._retry_at = 0.0

    # from any thread

    @property
    def wanted(self) -> bool:
        """Whether frames are wanted at all: somebody watches or records."""
        return not self._closing and (self._recording is not None or self._ring.watched)

    @property
    def recording(self) -> Recording | None:
        """The one that runs."""
        return self._recording

    def status(self) -> dict[str, Any]:
        """What it does: codec (None: nothing is encoded), frames encoded, frames dropped, last_error, recording's name."""
        encoder, recording = self._encoder, self._recording
        return {
            "codec": None if encoder is None else encoder.codec_name,
            "frames": self.frames,
            "dropped": self.dropped,
            "last_error": self.last_error,
            "recording": None if recording is None else recording.path.name,
        }

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def read(self, boot_id: str | None, after: int, timeout_s: float) -> Framed:
        """Packets after number `after`, see `PacketRing.read`. Has frames encoded for the next 10 s. Raises CommandFailed."""
        require_library()
        return self._ring.read(boot_id, after, timeout_s)

    def record(
        self,
        path: Path,
        limits: RecordingLimits | None = None,
        audio: AudioSource | None = None,
        on_end: Callable[[RecordingResult], None] = lambda result: None,
    ) -> Recording:
        """Begin a recording with the next frame, which becomes a key frame; see `Recording`. Starts `audio` and owns it.

        Raises Blocked while another one runs, CommandFailed if it cannot be written, NotConnected without the sound.
        """
        if audio is not None:
            audio.start()
        try:
            with self._starting:
                with self._changed:
                    if self._closing:
                        raise CommandFailed(f"the video of {self.name} is closed")
                    if self._recording is not None and not self._recording.ended:
                        running = self._recording.path.name
                        raise Blocked(f"the stream {self.name} is being recorded already, into {running}", value=running)
                made = Recording(
                    path,
                    limits or RecordingLimits(),
                    self._settings.frame_rate,
                    audio=audio,
                    ask_to_stop=self._stop,
                    on_end=on_end,
                )
                with self._changed:
                    self._recording = made
                    self._items.append(_Start(made))
                    self._changed.notify_all()
        except (ObservatoryError, OSError) as error:
            if audio is not None:
                audio.close(1.0)
            if isinstance(error, ObservatoryError):
                raise
            raise CommandFailed(f"{path.name} cannot be written: {error}", value=path.name) from error
        return made

    def close(self, deadline_s: float) -> None:
        """End the recording, which is kept, and the thread."""
        with self._starting, self._changed:
            self._closing = True
            self._changed.notify_all()
        self._ring.close()
        if self._thread.ident is not None:
            self._thread.join(deadline_s)
            if self._thread.is_alive():
                log.error("the video thread of %s did not end within %g s", self.name, deadline_s)

    # from the camera's thread

    def offer(self, pixels: np.ndarray, format: str, timestamp_us: int) -> bool:
        """Have a frame encoded, if it is wanted; whether it was taken. Copies what it takes and waits for nobody.

        `timestamp_us` is on the boot clock, as libcamera's SensorTimestamp. When the encoder is behind, the frame is
        dropped and counted.
        """
        if not self.wanted:
            return False
        if self._queued >= _QUEUE_FRAMES:
            with self._changed:
                self._drop()
            return False
        frame = _Frame(pixels.copy(), format, timestamp_us)
        with self._changed:
            self._items.append(frame)
            self._queued += 1
            self._changed.notify_all()
        return True

    # in its own thread

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._items) or self._closing, _LOOK_EVERY_S)
                item = self._items.popleft() if self._items else None
                self._queued -= isinstance(item, _Frame)
            if isinstance(item, _Frame):
                self._encode(item)
            elif isinstance(item, _Start):
                self._active = item.recording
                if self._encoder is not None:
                    self._encoder.request_key()
            elif isinstance(item, _Stop):
                self._end(item.recording, "stopped")
            elif self._closing:
                break
            elif not self.wanted:
                self._shut()
                self._ring.clear()
        if self._active is not None:
            self._end(self._active, "the video was closed")
        self._shut()

    def _encode(self, frame: _Frame) -> None:
        if not (self._active is not None or self._ring.watched):
            return
        last_us = self._last_us
        if last_us is not None and frame.timestamp_us <= last_us:
            if last_us - frame.timestamp_us < _NEW_CLOCK_US:
                self._dropped()
                return
            self._new_stream(f"the time stamps went back by {(last_us - frame.timestamp_us) / 1e6:g} s")
        shape = (frame.pixels.shape, frame.format)
        if self._shape is not None and shape != self._shape:
            self._new_stream(f"the stream changed from {self._shape} to {shape}")
        if time.monotonic() < self._retry_at:
            self._dropped()
            return
        try:
            packets = self._encoded(frame, shape)
        except ObservatoryError as error:
            self._failed(error)
            return
        self._last_us = frame.timestamp_us
        self.frames += 1
        if self._active is not None:
            self._active.frame(frame.pixels, frame.format)
        self._hand_on(packets)

    def _encoded(self, frame: _Frame, shape: tuple[tuple[int, ...], str]) -> list[Packet]:
        if self._encoder is None:
            self._encoder = self._make_encoder(size_of(frame.pixels, frame.format), self._settings)
            self._shape = shape
            log.info("%s is encoded by %s", self.name, self._encoder.codec_name)
        elif self._ring.needs_key and self._ring.watched:
            self._encoder.request_key()
        return self._encoder.encode(frame.pixels, frame.format, frame.timestamp_us)

    def _hand_on(self, packets: list[Packet]) -> None:
        recording, encoder = self._active, self._encoder
        for packet in packets:
            if encoder is not None:
                self._ring.append(packet, encoder.format)
            if recording is not None:
                recording.packet(packet)
        if recording is not None and recording.ended:
            self._forget(recording)

    def _new_stream(self, why: str) -> None:
        log.info("%s: %s", self.name, why)
        if self._active is not None and self._active.begun:  # else it begins with the new one
            self._end(self._active, why)
        self._shut()

    def _end(self, recording: Recording, reason: str, error: ObservatoryError | None = None) -> None:
        if recording is self._active:
            self._flush()
        recording.end(reason, error)
        self._forget(recording)

    def _flush(self) -> None:
        """Hardware holds frames back: they belong to the recording, and the encoder is of no use afterwards."""
        if self._encoder is not None and self._encoder.codec_name != "libx264":
            try:
                self._hand_on(self._encoder.flush())
            except ObservatoryError as error:
                self.last_error = str(error)
            self._shut()

    def _forget(self, recording: Recording) -> None:
        self._active = None if self._active is recording else self._active
        with self._changed:
            self._recording = None if self._recording is recording else self._recording

    def _failed(self, error: ObservatoryError) -> None:
        log.error("%s: %s", self.name, error)
        self.last_error = str(error)
        self._retry_at = time.monotonic() + _BACK_OFF_S
        self._shut()
        self._dropped()
        if self._active is not None:
            self._end(self._active, "the encoder failed", error)

    def _shut(self) -> None:
        if self._encoder is not None:
            self._encoder.close()
        self._encoder = self._shape = self._last_us = None

    def _dropped(self) -> None:
        with self._changed:
            self._drop()

    def _drop(self) -> None:
        self.dropped += 1
        if self._recording is not None:
            self._recording.dropped()

    def _stop(self, recording: Recording) -> None:
        with self._changed:
            self._items.append(_Stop(recording))
            self._changed.notify_all()
