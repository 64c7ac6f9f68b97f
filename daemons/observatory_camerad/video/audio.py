"""Sound beside the picture: from ALSA, or whatever else FFmpeg can open, aligned by the boot clock."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from observatory_common import arguments
from observatory_common.errors import CommandFailed, NotConnected

if TYPE_CHECKING:
    from collections.abc import Iterator

    import av
    import numpy as np
    from av.container import InputContainer, OutputContainer

log = logging.getLogger("camerad.audio")

LONGEST_SYNC_S = 2.0
_KEEP_S = 10.0  # of sound that nobody fetches
_DRIFT_S = 0.1  # between the sound card's clock and ours, before sound is cut or silence put in
_SAME_S = 0.005
_LONGEST_SILENCE_S = 60.0
_LAYOUTS = {1: "mono", 2: "stereo"}
_BITS_PER_CHANNEL = 96_000
_CHUNK = 1024  # samples in an AAC packet, and the encoder's delay


@dataclass(frozen=True)
class Chunk:
    """A piece of sound: when it began on the boot clock in microseconds, and samples x channels of int16."""

    boot_us: float
    samples: np.ndarray


def boot_now_us() -> float:
    """The boot clock, which libcamera's SensorTimestamp is of, in microseconds."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) / 1000


class AudioSource:
    """Reads sound in a thread of its own: `rate` samples (8000 to 96000) per second, `channels` 1 or 2.

    `input_format` and `device` are what FFmpeg opens: `alsa` and the name of a PCM, or `lavfi` and a graph.
    Raises InvalidArgument.
    """

    def __init__(self, device: str = "default", rate: int = 48_000, channels: int = 1, input_format: str = "alsa") -> None:
        self.device = arguments.text("device", device)
        self.rate = arguments.whole_number("rate", rate, 8000, 96_000)
        self.channels = arguments.whole_number("channels", channels, 1, 2)
        self.error: str | None = None
        self._input_format = input_format
        self._lock = threading.Lock()
        self._chunks: deque[Chunk] = deque()
        self._kept = 0
        self._opened = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="camerad-audio", daemon=True)

    def start(self, timeout_s: float = 3.0) -> None:
        """Open the device. Raises NotConnected if that does not succeed within `timeout_s` seconds."""
        self._thread.start()
        if not self._opened.wait(timeout_s) or self.error is not None:
            self.close(1.0)
            why = self.error or f"no answer within {timeout_s:g} s"
            raise NotConnected(f"there is no sound from {self.device}: {why}", value=self.device)

    def take(self) -> list[Chunk]:
        """What was heard since the last call."""
        with self._lock:
            chunks, self._chunks, self._kept = list(self._chunks), deque(), 0
        return chunks

    def close(self, deadline_s: float) -> None:
        """End the thread. May be called twice."""
        self._closing.set()
        if self._thread.ident is not None:
            self._thread.join(deadline_s)
            if self._thread.is_alive():
                log.error("the thread of the sound from %s did not end within %g s", self.device, deadline_s)

    # in its own thread

    def _run(self) -> None:
        import av

        options = {"sample_rate": str(self.rate), "ch_layout": _LAYOUTS[self.channels]} if self._input_format == "alsa" else {}
        try:
            with av.open(self.device, format=self._input_format, options=options) as container:
                self._read(container)
        except (av.FFmpegError, OSError, ValueError) as error:
            self.error = str(error)
            log.error("no sound from %s: %s", self.device, error)
        finally:
            self._opened.set()

    def _read(self, container: InputContainer) -> None:
        import av

        resampler = av.AudioResampler(format="s16", layout=_LAYOUTS[self.channels], rate=self.rate)
        begun_us: float | None = None
        count = 0
        for frame in container.decode(audio=0):
            self._opened.set()
            if self._closing.is_set():
                return
            for part in resampler.resample(frame):
                samples = part.to_ndarray().reshape(-1, self.channels)
                arrived_us = boot_now_us() - len(samples) / self.rate * 1e6
                expected_us = None if begun_us is None else begun_us + count / self.rate * 1e6
                if expected_us is None or abs(arrived_us - expected_us) > _DRIFT_S * 1e6:
                    begun_us, count, expected_us = arrived_us, 0, arrived_us
                count += len(samples)
                self._keep(Chunk(expected_us, samples))
        self.error = "it ended"

    def _keep(self, chunk: Chunk) -> None:
        with self._lock:
            self._chunks.append(chunk)
            self._kept += len(chunk.samples)
            while self._kept > _KEEP_S * self.rate:
                self._kept -= len(self._chunks.popleft().samples)


class AudioTrack:
    """Sound as AAC in an MP4 file. `sync_s` (-2 to 2) delays the sound. Used by one thread. Raises InvalidArgument."""

    def __init__(self, rate: int, channels: int, sync_s: float = 0.0) -> None:
        self._rate = rate
        self._channels = channels
        self._sync = round(arguments.number("audio_sync_s", sync_s, -LONGEST_SYNC_S, LONGEST_SYNC_S) * rate)
        self._stream: Any = None
        self._resampler: Any = None
        self._origin_us: float | None = None
        self._waiting: deque[np.ndarray] = deque()
        self._length = 0  # samples in `_waiting`
        self._position = 0  # of the first sample in `_waiting`, from the recording's start

    def add_to(self, container: OutputContainer) -> None:
        """Make the track."""
        import av

        self._stream = container.add_stream("aac", rate=self._rate, layout=_LAYOUTS[self._channels])
        self._stream.bit_rate = _BITS_PER_CHANNEL * self._channels
        self._resampler = av.AudioResampler(format="fltp", layout=_LAYOUTS[self._channels], rate=self._rate)

    def encode(self, chunks: list[Chunk], start_us: int, end_us: int) -> Iterator[av.Packet[Any]]:
        """Packets of the sound from `start_us` to `end_us`, time stamps of the picture."""
        if self._stream is None:
            raise CommandFailed("the sound has no track")
        if self._origin_us is None:
            self._origin_us = _origin(start_us)
            # the encoder's delay is made up for by leaving out as much: then no time stamp is below 0
            self._position = _CHUNK
        for chunk in chunks:
            self._place(chunk)
        end = round((end_us - start_us) / 1e6 * self._rate)
        while self._length >= _CHUNK and self._position + _CHUNK <= end:
            yield from self._encoded(self._cut(_CHUNK))

    def flush(self) -> Iterator[av.Packet[Any]]:
        """The packets still inside the encoder."""
        if self._stream is not None and self._origin_us is not None:
            yield from self._stream.encode(None)

    def _place(self, chunk: Chunk) -> None:
        import numpy as np

        origin_us = self._origin_us or 0.0
        at = round((chunk.boot_us - origin_us) / 1e6 * self._rate) + self._sync
        samples = chunk.samples
        gap = at - (self._position + self._length)
        if 0 < gap <= _LONGEST_SILENCE_S * self._rate and (gap > _SAME_S * self._rate or not self._length):
            self._append(np.zeros((gap, self._channels), np.int16))
        elif gap < -_SAME_S * self._rate or (gap < 0 and self._position == _CHUNK and not self._length):
            samples = samples[-gap:]
        self._append(samples)

    def _append(self, samples: np.ndarray) -> None:
        if len(samples):
            self._waiting.append(samples)
            self._length += len(samples)

    def _cut(self, count: int) -> np.ndarray:
        import numpy as np

        whole = np.concatenate(self._waiting)
        self._waiting = deque([whole[count:]])
        self._length -= count
        return whole[:count]

    def _encoded(self, samples: np.ndarray) -> Iterator[av.Packet[Any]]:
        from fractions import Fraction

        import av

        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout=_LAYOUTS[self._channels])
        frame.rate = self._rate
        frame.pts, frame.time_base = self._position, Fraction(1, self._rate)
        self._position += len(samples)
        for converted in self._resampler.resample(frame):
            yield from self._stream.encode(converted)


def _origin(start_us: int) -> float:
    """When the picture's first time stamp was, on the boot clock; cameras that use another clock are taken as prompt."""
    now_us = boot_now_us()
    return start_us if abs(now_us - start_us) < 10e6 else now_us
