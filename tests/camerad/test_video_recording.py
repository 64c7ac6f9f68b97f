"""Recordings play with the frames, times and colours that went in, whatever ended them."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

import pytest
import videos
import waiting
from videos import TIMES_US, picture

from observatory_camerad.video.encoder import FORMATS, EncoderSettings, H264Encoder
from observatory_camerad.video.partfile import PartFile, keep_part, recover, recover_parts
from observatory_camerad.video.recording import Recording, RecordingLimits, RecordingResult
from observatory_camerad.video.stream import VideoStream
from observatory_common.errors import Blocked, CommandFailed, InvalidArgument

SUPPORT = Path(__file__).parents[1] / "support"
ROOTS = os.pathsep.join(str(Path(__file__).parents[2] / root) for root in (".", "daemons", "tests/support"))
X264 = EncoderSettings(codec="libx264")
NO_RESERVE = RecordingLimits(reserve_bytes=0)


@pytest.fixture
def stream() -> Iterator[VideoStream]:
    made = VideoStream("main", "boot", X264)
    made.start()
    yield made
    made.close(5)


def feed(stream: VideoStream, numbers: range, format: str = "RGB888", shift_us: int = 0, **size: int) -> None:
    for number in numbers:
        waiting.until(lambda: stream._queued == 0, 5, "the encoder")
        stream.offer(videos.in_format(picture(number, **size), format), format, TIMES_US[number] + shift_us)


def result_of(recording: Recording) -> RecordingResult:
    recording.stop()
    result = recording.wait(10)
    assert result is not None
    return result


def times(first: int, last: int) -> list[int]:
    return [time_us - TIMES_US[first] for time_us in TIMES_US[first:last]]


def colour_tags(path: Path) -> tuple[int, int]:
    import av

    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        return context.colorspace, context.color_range


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("format", FORMATS)
def test_what_is_played_is_what_was_offered(format: str, stream: VideoStream, tmp_path: Path) -> None:
    recording = stream.record(tmp_path / "a.mp4", NO_RESERVE)
    feed(stream, range(50), format)
    assert names_in(tmp_path) == [".a.mp4.part"]
    result = result_of(recording)
    assert (result.reason, result.error, result.frames, result.dropped, result.audio_error) == ("stopped", None, 50, 0, None)
    assert names_in(tmp_path) == ["a.mp4"]
    assert result.path == tmp_path / "a.mp4" and result.size == result.path.stat().st_size
    played_us, duration_s, last = videos.played(result.path)
    assert played_us == times(0, 50)
    assert duration_s == pytest.approx(result.duration_s, abs=0.001)
    assert result.duration_s == pytest.approx((2 * TIMES_US[49] - TIMES_US[48] - TIMES_US[0]) / 1e6)
    assert videos.wrong_colours(last) == {}
    assert colour_tags(result.path) == (6, 1)  # BT.601, limited: players need not guess
    assert result.thumbnail is not None and result.thumbnail[:3] == b"\xff\xd8\xff"
    waiting.until(lambda: not stream.wanted, 5, "the stream to let go of it")  # whoever waits for it is told first


def test_the_finished_file_has_its_index_for_players_that_know_no_fragments(stream: VideoStream, tmp_path: Path) -> None:
    recording = stream.record(tmp_path / "a.mp4", NO_RESERVE)
    feed(stream, range(50))
    data = (result_of(recording).path or tmp_path).read_bytes()
    boxes, at = [], 0
    while at < len(data):
        boxes.append(data[at + 4 : at + 8])
        at += int.from_bytes(data[at : at + 4], "big")
    assert boxes[0] == b"ftyp" and boxes[-1] == b"moov" and b"moof" not in boxes


def test_the_bare_stream_plays(stream: VideoStream, tmp_path: Path) -> None:
    recording = stream.record(tmp_path / "a.h264", NO_RESERVE)
    feed(stream, range(20))
    result = result_of(recording)
    assert (result.frames, result.error) == (20, None)
    import av

    with av.open(str(tmp_path / "a.h264")) as container:
        assert len(list(container.decode(video=0))) == 20


def test_who_is_told_of_the_end_may_begin_the_next(stream: VideoStream, tmp_path: Path) -> None:
    following: list[Future[Recording]] = []
    with ThreadPoolExecutor(1) as somebody:

        def ended(_: RecordingResult) -> None:
            following.append(somebody.submit(stream.record, tmp_path / "b.mp4", NO_RESERVE))
            wait(following, 5)

        recording = stream.record(tmp_path / "a.mp4", NO_RESERVE, on_end=ended)
        feed(stream, range(5))
        result_of(recording)
        waiting.until(lambda: bool(following), 5, "the end to be told")
        begun = following[0].result(5)
    feed(stream, range(5, 10))
    result = result_of(begun)
    assert (result.frames, result.error, names_in(tmp_path)) == (5, None, ["a.mp4", "b.mp4"])


def test_a_recording_while_somebody_watches_starts_at_a_key_frame(stream: VideoStream, tmp_path: Path) -> None:
    stream.read(None, 0, 0)
    feed(stream, range(5))
    first = stream.record(tmp_path / "a.mp4", NO_RESERVE)
    feed(stream, range(5, 15))
    assert result_of(first).frames == 10
    second = stream.record(tmp_path / "b.mp4", NO_RESERVE)
    feed(stream, range(15, 30))
    assert result_of(second).frames == 15
    assert videos.played(tmp_path / "a.mp4")[0] == times(5, 15)
    assert videos.played(tmp_path / "b.mp4")[0] == times(15, 30)
    assert stream.read("boot", 29, 5).value["packets"][0]["number"] == 30


def test_without_a_frame_there_is_no_file(stream: VideoStream, tmp_path: Path) -> None:
    result = result_of(stream.record(tmp_path / "a.mp4", NO_RESERVE))
    assert (result.path, result.frames, result.size, result.thumbnail) == (None, 0, 0, None)
    assert isinstance(result.error, CommandFailed)
    assert names_in(tmp_path) == []


def test_one_frame_is_a_recording(stream: VideoStream, tmp_path: Path) -> None:
    recording = stream.record(tmp_path / "a.mp4", NO_RESERVE)
    feed(stream, range(1))
    result = result_of(recording)
    assert (result.frames, result.error) == (1, None)
    assert videos.played(tmp_path / "a.mp4")[:2] == ([0], pytest.approx(1 / 30, abs=0.001))


def test_it_ends_after_its_duration(stream: VideoStream, tmp_path: Path) -> None:
    ended: list[RecordingResult] = []
    recording = stream.record(tmp_path / "a.mp4", RecordingLimits(duration_s=0.8, reserve_bytes=0), on_end=ended.append)
    feed(stream, range(50))
    result = recording.wait(5)
    expected = [time_us for time_us in times(0, 50) if time_us < 800_000]
    assert result is not None and result.reason == "duration reached" and result.error is None
    assert videos.played(tmp_path / "a.mp4")[0] == expected
    assert ended == [result]


def test_a_new_size_ends_it_cleanly(stream: VideoStream, tmp_path: Path) -> None:
    recording = stream.record(tmp_path / "a.mp4", NO_RESERVE)
    feed(stream, range(10))
    feed(stream, range(10, 12), width=640)
    result = recording.wait(5)
    assert result is not None and result.error is None and result.frames == 10
    assert "640" in result.reason
    assert videos.played(tmp_path / "a.mp4")[0] == times(0, 10)


def test_one_that_begins_as_the_size_changes_has_the_frames_of_the_new_one(stream: VideoStream, tmp_path: Path) -> None:
    stream.read(None, 0, 0)  # somebody watches, so the encoder goes on
    feed(stream, range(5))
    recording = stream.record(tmp_path / "a.mp4", NO_RESERVE)
    feed(stream, range(5, 15), width=640)
    result = result_of(recording)
    assert result.error is None and result.frames == 10
    assert videos.played(tmp_path / "a.mp4")[0] == times(5, 15)


def test_a_closed_stream_keeps_its_recording(stream: VideoStream, tmp_path: Path) -> None:
    recording = stream.record(tmp_path / "a.mp4", NO_RESERVE)
    feed(stream, range(10))
    stream.close(5)
    result = recording.wait(0)
    assert result is not None and result.error is None
    assert videos.played(tmp_path / "a.mp4")[0] == times(0, 10)
    with pytest.raises(CommandFailed):
        stream.record(tmp_path / "b.mp4")


def test_an_encoder_that_fails_ends_it_and_what_was_written_is_kept(tmp_path: Path) -> None:
    class Failing(H264Encoder):
        def encode(self, pixels, format, timestamp_us):  # type: ignore[no-untyped-def]
            if timestamp_us == TIMES_US[10]:
                raise CommandFailed("libx264 failed: no memory")
            return super().encode(pixels, format, timestamp_us)

    stream = VideoStream("main", "boot", X264, make_encoder=Failing)
    stream.start()
    recording = stream.record(tmp_path / "a.mp4", NO_RESERVE)
    feed(stream, range(11))
    result = recording.wait(5)
    stream.close(5)
    assert result is not None and (result.reason, str(result.error)) == ("the encoder failed", "libx264 failed: no memory")
    assert (result.frames, result.dropped) == (10, 1)
    assert videos.played(tmp_path / "a.mp4")[0] == times(0, 10)


def test_frames_that_hardware_holds_back_are_in_the_file(tmp_path: Path) -> None:
    class Late(H264Encoder):
        def __init__(self, *args) -> None:  # type: ignore[no-untyped-def]
            super().__init__(*args)
            self.codec_name, self.inside = "h264_v4l2m2m", []

        def encode(self, *args):  # type: ignore[no-untyped-def]
            self.inside += super().encode(*args)
            return [self.inside.pop(0)] if len(self.inside) > 3 else []

        def flush(self):  # type: ignore[no-untyped-def]
            return self.inside + super().flush()

    stream = VideoStream("main", "boot", X264, make_encoder=Late)
    stream.start()
    try:
        for name, numbers in {"a.mp4": range(10), "b.mp4": range(10, 20)}.items():
            recording = stream.record(tmp_path / name, NO_RESERVE)
            feed(stream, numbers)
            assert result_of(recording).frames == 10
            assert videos.played(tmp_path / name)[0] == times(numbers[0], numbers[-1] + 1)
    finally:
        stream.close(5)


def test_what_cannot_be_recorded_is_refused(stream: VideoStream, tmp_path: Path) -> None:
    (tmp_path / "old.mp4").write_bytes(b"old")
    free = shutil.disk_usage(tmp_path).free
    for path, limits, error in [
        (tmp_path / "old.mp4", NO_RESERVE, CommandFailed),
        (tmp_path / "a.avi", NO_RESERVE, InvalidArgument),
        (tmp_path / "none" / "a.mp4", NO_RESERVE, CommandFailed),
        (tmp_path / "a.mp4", RecordingLimits(reserve_bytes=free * 2), CommandFailed),
    ]:
        with pytest.raises(error):
            stream.record(path, limits)
    for wrong in [{"duration_s": 0}, {"duration_s": 1e9}, {"reserve_bytes": -1}, {"audio_sync_s": 3.0}]:
        with pytest.raises(InvalidArgument):
            RecordingLimits(**wrong)
    recording = stream.record(tmp_path / "a.mp4", NO_RESERVE)
    with pytest.raises(Blocked, match=r"a\.mp4"):
        stream.record(tmp_path / "b.mp4", NO_RESERVE)
    result_of(recording)
    assert names_in(tmp_path) == ["old.mp4"]


def test_a_disk_that_fills_ends_it_at_the_reserve(stream: VideoStream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = stream.record(tmp_path / "a.mp4", RecordingLimits(reserve_bytes=1000))
    feed(stream, range(20))
    monkeypatch.setattr(PartFile, "free_bytes", 999)
    feed(stream, range(20, 50))
    result = recording.wait(5)
    assert result is not None and result.error is None and "1000 bytes" in result.reason
    assert 20 <= result.frames < 50
    assert videos.played(tmp_path / "a.mp4")[0] == times(0, result.frames)


def program(*arguments: object, prefix: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    command = [*prefix, sys.executable, str(SUPPORT / "recorder.py"), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": ROOTS})


def test_a_full_disk_fails_it_and_keeps_what_can_be_played(tmp_path: Path) -> None:
    if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], check=False).returncode != 0:
        pytest.skip("needs a mount namespace of its own, thus root")
    with program(tmp_path / "a.mp4", 0, 8 << 20, prefix=("unshare", "-m")) as process:
        lines = process.communicate(timeout=60)[0].splitlines()
    result = json.loads(lines[-1])
    assert "No space left" in result["error"] and result["files"] == ["a.mp4"]
    assert result["frames"] == result["played"] > 30 and result["times_right"]
    assert result["played_s"] == pytest.approx(result["duration_s"], abs=0.001)
    assert result["size"] <= 8 << 20


@pytest.mark.parametrize("ending", ["mp4", "h264"])
def test_what_was_written_before_a_kill_plays(ending: str, tmp_path: Path) -> None:
    with program(tmp_path / f"a.{ending}", 0) as process:
        assert process.stdout is not None
        try:
            waiting.until(lambda: int(process.stdout.readline()) > 75, 60, "frames")
        finally:
            process.send_signal(signal.SIGKILL)
    assert names_in(tmp_path) == [f".a.{ending}.part"]
    (found,) = recover_parts(tmp_path)
    assert (found.path, found.final_name) == (tmp_path / f".a.{ending}.part", f"a.{ending}")
    final = keep_part(found)
    assert names_in(tmp_path) == [f"a.{ending}"]
    if ending == "mp4":
        played_us, duration_s, _ = videos.played(final)
        assert len(played_us) >= 60 and played_us == [n * 33_333 for n in range(len(played_us))]
        assert duration_s == pytest.approx(found.duration_s, abs=0.001)
    else:
        assert found.duration_s is None


def test_what_cannot_be_played_is_not_recovered(tmp_path: Path) -> None:
    (tmp_path / ".empty.mp4.part").write_bytes(b"")
    (tmp_path / ".nonsense.mp4.part").write_bytes(os.urandom(5000))
    (tmp_path / ".nonsense.h264.part").write_bytes(bytes(5000))
    (tmp_path / ".text.txt.part").write_bytes(b"text")
    (tmp_path / "a.mp4").write_bytes(b"")
    (tmp_path / ".folder.mp4.part").mkdir()
    assert recover_parts(tmp_path) == []
    assert recover(tmp_path / "a.mp4") is None
    assert len(names_in(tmp_path)) == 6


def test_a_part_cut_anywhere_plays_up_to_its_last_whole_fragment(stream: VideoStream, tmp_path: Path) -> None:
    recording = stream.record(tmp_path / "a.mp4", NO_RESERVE)
    feed(stream, range(50))
    feed(stream, range(50), shift_us=2_000_000)
    waiting.until(lambda: stream.frames == 100, 5, "the encoder")
    data = (tmp_path / ".a.mp4.part").read_bytes()
    result_of(recording)
    (tmp_path / "a.mp4").unlink()
    part, played = tmp_path / ".cut.mp4.part", set()
    expected = times(0, 50) + [time_us + 2_000_000 for time_us in times(0, 50)]
    for size in [*range(0, len(data), len(data) // 25), len(data)]:
        part.write_bytes(data[:size])
        found = recover(part)
        if found is not None:
            final = keep_part(found)
            played_us, duration_s, _ = videos.played(final)
            assert played_us == expected[: len(played_us)] and duration_s == pytest.approx(found.duration_s, abs=0.001)
            played.add(len(played_us))
            final.unlink()
    assert len(played) >= 3 and max(played) >= 70


def test_a_write_that_fails_at_any_moment_costs_no_whole_fragment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = H264Encoder((320, 240), X264)
    packets = [packet for n in range(80) for packet in encoder.encode(picture(n), "RGB888", n * 33_333)]
    write, kept = os.pwrite, []
    for allowed in range(1000):
        left = [allowed]

        def failing(*arguments, left: list[int] = left) -> int:  # type: ignore[no-untyped-def]
            if not left[0]:
                raise OSError(errno.ENOSPC, "No space left on device")
            left[0] -= 1
            return write(*arguments)

        path = tmp_path / f"{allowed}.mp4"
        recording = Recording(path, NO_RESERVE, 30)
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", failing)
            for packet in packets:
                recording.packet(packet)
            recording.end("stopped")
        result = recording.wait(0)
        assert result is not None
        if result.path is not None:
            played_us, duration_s, _ = videos.played(path)
            assert played_us == [n * 33_333 for n in range(result.frames)]
            assert duration_s == pytest.approx(result.duration_s, abs=0.001)
        kept.append(result.frames)
        if result.error is None:
            break
        assert "No space left" in str(result.error)
        assert names_in(tmp_path) == ([path.name] if result.path else [])
        path.unlink(missing_ok=True)
    assert kept[0] == 0 and kept[-1] == 80 and kept == sorted(kept) and len(kept) > 4, kept
