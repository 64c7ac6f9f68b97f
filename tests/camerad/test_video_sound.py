"""Sound in recordings: beside the picture, in time with it, and never in its way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import videos
import waiting
from videos import picture

from observatory_camerad.video.audio import AudioSource, Chunk, boot_now_us
from observatory_camerad.video.encoder import EncoderSettings, H264Encoder
from observatory_camerad.video.recording import Recording, RecordingLimits, RecordingResult
from observatory_camerad.video.stream import VideoStream
from observatory_common.errors import NotConnected

X264 = EncoderSettings(codec="libx264")
NO_RESERVE = RecordingLimits(reserve_bytes=0)
TONE = "sine=frequency=440:sample_rate=48000,arealtime"


@pytest.fixture
def stream() -> Iterator[VideoStream]:
    made = VideoStream("main", "boot", X264)
    made.start()
    yield made
    made.close(5)


class Click:
    """Stands for an AudioSource: silence, and a click at a known moment."""

    rate, channels, error = 48_000, 1, None

    def __init__(self, start_us: float, click_us: float) -> None:
        samples = np.zeros((round(2.5 * self.rate), 1), np.int16)
        at = round((click_us - start_us) / 1e6 * self.rate)
        samples[at : at + 48] = 20_000
        self._chunks = [Chunk(start_us + n / self.rate * 1e6, samples[n : n + 1000]) for n in range(0, len(samples), 1000)]

    def take(self) -> list[Chunk]:
        chunks, self._chunks = self._chunks, []
        return chunks

    def close(self, deadline_s: float) -> None:
        pass


def heard(path: Path) -> np.ndarray:
    """The sound by FFmpeg's clock: sample 0 is at time 0."""
    import av

    with av.open(str(path)) as container:
        found = np.zeros(48_000 * 10, np.float32)
        for frame in container.decode(audio=0):
            at = round(frame.pts * frame.time_base * 48_000)
            found[at : at + frame.samples] = frame.to_ndarray()[0]
        return found[: at + frame.samples]


@pytest.mark.parametrize(("sync_s", "expected_s"), [(0.0, 0.7), (0.5, 1.2), (-0.4, 0.3)])
def test_a_click_is_heard_when_it_was_made(sync_s: float, expected_s: float, tmp_path: Path) -> None:
    start_us = round(boot_now_us())
    audio = Click(start_us - 500_000, start_us + 700_000)
    limits = RecordingLimits(reserve_bytes=0, audio_sync_s=sync_s)
    recording = Recording(tmp_path / "a.mp4", limits, 30, audio=audio)  # type: ignore[arg-type]
    encoder = H264Encoder((320, 240), X264)
    for number in range(45):
        for packet in encoder.encode(picture(number), "RGB888", start_us + number * 33_333):
            recording.packet(packet)
    recording.end("stopped")
    assert recording.wait(0).error is None  # type: ignore[union-attr]
    sound = heard(tmp_path / "a.mp4")
    assert np.abs(sound).argmax() / 48_000 == pytest.approx(expected_s, abs=0.005)
    assert videos.played(tmp_path / "a.mp4")[0] == [n * 33_333 for n in range(45)]


def record_sound(stream: VideoStream, path: Path, audio: AudioSource, seconds: float) -> RecordingResult:
    recording = stream.record(path, NO_RESERVE, audio=audio)
    begun_us = boot_now_us()
    number = 0
    while boot_now_us() < begun_us + seconds * 1e6:
        waiting.until(lambda due=begun_us + number * 33_333: boot_now_us() >= due, 5, "the next frame")
        stream.offer(picture(number), "RGB888", round(boot_now_us()))
        number += 1
    recording.stop()
    result = recording.wait(10)
    assert result is not None
    return result


def test_a_tone_is_recorded_beside_the_picture(stream: VideoStream, tmp_path: Path, machine_lag) -> None:
    result = record_sound(stream, tmp_path / "a.mp4", AudioSource(TONE, input_format="lavfi"), 1.5)
    assert result.error is None and result.audio_error is None
    sound = heard(tmp_path / "a.mp4")
    assert len(sound) / 48_000 == pytest.approx(result.duration_s, abs=0.15 + machine_lag.seconds)
    middle = sound[24_000:48_000]
    assert np.abs(np.fft.rfft(middle)).argmax() * 2 == pytest.approx(440, abs=4)


def test_alsa_is_opened(stream: VideoStream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is hardly a sound card where tests run; ALSA's own null device stands for one."""
    (tmp_path / "asound.conf").write_text("pcm.nothing { type null }\n")
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(tmp_path / "asound.conf"))
    result = record_sound(stream, tmp_path / "a.mp4", AudioSource("nothing", channels=2), 0.5)
    assert result.error is None and result.audio_error is None
    import av

    with av.open(str(tmp_path / "a.mp4")) as container:
        assert (container.streams.audio[0].rate, container.streams.audio[0].channels) == (48_000, 2)
        assert next(container.decode(audio=0)).samples == 1024


def test_without_the_sound_asked_for_nothing_is_recorded(stream: VideoStream, tmp_path: Path) -> None:
    with pytest.raises(NotConnected, match="no-such-card"):
        stream.record(tmp_path / "a.mp4", NO_RESERVE, audio=AudioSource("no-such-card"))
    assert list(tmp_path.iterdir()) == [] and stream.recording is None


def test_sound_that_ends_early_does_not_end_the_picture(stream: VideoStream, tmp_path: Path) -> None:
    audio = AudioSource("sine=frequency=440:sample_rate=48000:duration=0.5,arealtime", input_format="lavfi")
    result = record_sound(stream, tmp_path / "a.mp4", audio, 1.0)
    assert (result.error, result.audio_error) == (None, "it ended")
    assert len(videos.played(tmp_path / "a.mp4")[0]) == result.frames
