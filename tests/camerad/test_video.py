"""Frames become packets that can be decoded from every key frame, at their own times, and nobody waits for the encoder."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import videos
import waiting
from videos import TIMES_US, picture

from observatory_camerad.video.annexb import Headers
from observatory_camerad.video.encoder import FORMATS, EncoderSettings, H264Encoder, Packet, VideoFormat
from observatory_camerad.video.packets import LONGEST_ANSWER, PacketRing
from observatory_camerad.video.stream import VideoStream
from observatory_common.errors import CommandFailed, InvalidArgument

SIZE = (videos.WIDTH, videos.HEIGHT)
X264 = EncoderSettings(codec="libx264")
FORMAT = VideoFormat("avc1.42C01F", *SIZE)


def encode(count: int = 50, settings: EncoderSettings = X264) -> list[Packet]:
    encoder = H264Encoder(SIZE, settings)
    return [packet for n in range(count) for packet in encoder.encode(picture(n), "RGB888", TIMES_US[n])]


# the encoder


def test_every_frame_is_one_packet_at_once_and_keeps_its_time() -> None:
    encoder = H264Encoder(SIZE, X264)
    for number, time_us in enumerate(TIMES_US):
        assert [packet.pts_us for packet in encoder.encode(picture(number), "RGB888", time_us)] == [time_us]
    assert encoder.flush() == []
    with pytest.raises(CommandFailed):
        encoder.encode(picture(), "RGB888", TIMES_US[-1] + 1)
    encoder.close()


@pytest.mark.parametrize("format", FORMATS)
def test_colours_are_right(format: str) -> None:
    encoder = H264Encoder(SIZE, X264)
    packets = [packet for n in range(5) for packet in encoder.encode(videos.in_format(picture(n), format), format, TIMES_US[n])]
    pictures = videos.decoded(packets)
    assert len(pictures) == 5
    assert videos.wrong_colours(pictures[-1]) == {}


def test_a_key_frame_comes_every_second_and_on_request_and_stands_alone() -> None:
    encoder, packets = H264Encoder(SIZE, X264), []
    for number, time_us in enumerate(TIMES_US):
        if number == 5:
            encoder.request_key()
        packets += encoder.encode(picture(number), "RGB888", time_us)
    keys = [number for number, packet in enumerate(packets) if packet.key]
    assert keys[:2] == [0, 5] and len(keys) >= 3
    for earlier, later in zip(keys, [*keys[1:], len(packets) - 1], strict=True):
        assert TIMES_US[later] - TIMES_US[earlier] <= 1_300_000  # there is a gap of 0.25 s among the times
        assert packets[earlier].data[4] & 31 == 7  # it begins with its SPS
        assert len(videos.decoded(packets[earlier:])) == len(packets) - earlier
    assert encoder.format.codec == "avc1." + packets[0].data[5:8].hex().upper()


def test_the_bit_rate_is_kept() -> None:
    encoder = H264Encoder(SIZE, EncoderSettings(codec="libx264", bitrate=400_000))
    sizes = [len(encoder.encode(videos.noise(n), "RGB888", n * 33_333)[0].data) for n in range(60)]
    assert 150_000 < sum(sizes[30:]) * 8 < 800_000


@pytest.mark.parametrize("height", [268, 270])
def test_colours_stand_where_they_were_whatever_the_height(height: int) -> None:
    grey = np.full((height * 3 // 2, 480), 128, np.uint8)
    grey[:height] = np.linspace(16, 235, 480)
    encoder = H264Encoder((480, height))
    picture = videos.decoded(encoder.encode(grey, "YUV420", 1))[0]
    assert picture.shape == (height, 480, 3)
    assert np.ptp(picture.astype(int), axis=2).max() < 12, "grey is grey"


def test_odd_sizes_lose_a_row_and_a_column() -> None:
    odd = np.zeros((101, 75, 3), np.uint8)
    encoder = H264Encoder((74, 100), X264)
    assert videos.decoded(encoder.encode(odd, "RGB888", 1))[0].shape == (100, 74, 3)


def test_what_cannot_be_encoded_is_refused() -> None:
    encoder = H264Encoder(SIZE, X264)
    encoder.encode(picture(), "RGB888", 10)
    for pixels, format, time_us in [
        (picture(), "RGB888", 10),
        (picture(), "RGB888", 9),
        (picture(), "YUV420", 11),
        (picture(), "XRGB8888", 11),
        (picture(width=64), "RGB888", 11),
        (picture().astype(np.uint16), "RGB888", 11),
    ]:
        with pytest.raises(InvalidArgument):
            encoder.encode(pixels, format, time_us)
    assert len(encoder.encode(picture(), "RGB888", 12)) == 1
    for settings in [{"codec": "vp9"}, {"bitrate": 1}, {"crf": 60}, {"preset": "fastest"}, {"threads": 8}, {"keyframe_s": 0}]:
        with pytest.raises(InvalidArgument):
            EncoderSettings(**settings)


def test_hardware_that_is_not_there_is_named() -> None:
    from observatory_camerad.video import encoder

    if encoder._HARDWARE.exists():
        pytest.skip("this machine has a hardware encoder")
    with pytest.raises(CommandFailed, match="h264_v4l2m2m"):
        H264Encoder(SIZE, EncoderSettings(codec="h264_v4l2m2m"))
    assert H264Encoder(SIZE).codec_name == "libx264"


def test_headers_are_put_before_key_frames_that_lack_them() -> None:
    """As the Raspberry Pi's encoder sends them: once, at the beginning, alone."""
    sps, pps, key, delta = b"\0\0\0\1\x67\x42\xc0\x1f\x11", b"\0\0\0\1\x68\xce\x38", b"\0\0\1\x65\x88", b"\0\0\1\x41\x9a"
    headers = Headers()
    assert headers.complete(key) == (key, True)
    assert headers.codec == ""
    assert headers.complete(sps + pps) == (b"", False)
    assert headers.codec == "avc1.42C01F"
    assert headers.complete(key) == (sps + pps + key, True)
    assert headers.complete(sps + pps + key) == (sps + pps + key, True)
    assert headers.complete(delta) == (delta, False)
    assert headers.complete(b"") == (b"", False)


# the ring


def fill(ring: PacketRing, count: int, size: int = 100, every: int = 10, start: int = 0, step_us: int = 100_000) -> None:
    for number in range(start, start + count):
        ring.append(Packet(bytes([number % 256]) * size, number * step_us, number % every == 0), FORMAT)


def numbers(answer: dict) -> list[int]:
    return [packet["number"] for packet in answer["packets"]]


def test_newcomers_start_at_the_latest_key_frame() -> None:
    ring = PacketRing("boot")
    fill(ring, 25)
    for boot_id, after in [(None, 0), ("boot", 0), ("another", 7)]:
        answer = ring.read(boot_id, after, 0)
        assert numbers(answer.value) == [21, 22, 23, 24, 25] and answer.value["packets"][0]["key"]
        assert (answer.value["lost"], answer.value["next"], answer.value["boot_id"]) == (0, 25, "boot")
        assert (answer.value["codec"], answer.value["width"], answer.value["height"]) == ("avc1.42C01F", *SIZE)
        assert bytes(answer.data) == b"".join(bytes([n - 1]) * 100 for n in numbers(answer.value))
    assert numbers(ring.read("boot", 12, 0).value) == list(range(13, 26))
    assert numbers(ring.read("boot", 25, 0).value) == []


def test_a_reader_that_fell_behind_restarts_at_a_key_frame_and_is_told() -> None:
    ring = PacketRing("boot", keep_s=2)
    fill(ring, 100)
    answer = ring.read("boot", 10, 0).value
    assert numbers(answer)[0] == 91 and answer["packets"][0]["key"]
    assert answer["lost"] == 80
    ring.clear()  # nobody watched for a while
    assert ring.read("boot", 95, 0).value["lost"] == 5
    fill(ring, 5, start=105)
    assert numbers(ring.read("boot", 100, 0).value) == []  # none of these can be decoded
    fill(ring, 5, start=110)
    answer = ring.read("boot", 95, 0).value
    assert (numbers(answer), answer["lost"]) == ([101, 102, 103, 104, 105], 5)


def test_the_ring_is_bounded_in_time_and_bytes() -> None:
    ring = PacketRing("boot", keep_s=3, most_bytes=100_000)
    fill(ring, 1000)
    assert 3_000 <= ring.size <= 4_100  # 3 s at 10 a second, and the rest of a group
    fill(ring, 100, size=3_000)
    assert ring.size <= 100_000
    fill(ring, 1, size=100_000)
    assert ring.size <= 100_000
    fill(ring, 200, size=1_000, start=1, every=1_000_000)
    assert ring.size <= 100_000 and ring.needs_key


def test_an_answer_is_at_most_1_mib_but_never_less_than_a_packet() -> None:
    ring = PacketRing("boot")
    fill(ring, 5, size=400_000)
    assert numbers(ring.read("boot", 0, 0).value) == [1, 2]
    assert numbers(ring.read("boot", 2, 0).value) == [3, 4]
    ring.append(Packet(b"x" * (LONGEST_ANSWER + 1), 10**9, True), FORMAT)
    assert numbers(ring.read("boot", 5, 0).value) == [6]


def test_an_answer_has_one_format() -> None:
    ring = PacketRing("boot")
    fill(ring, 3)
    ring.append(Packet(b"k", 400_000, True), VideoFormat("avc1.42C028", 1920, 1080))
    assert numbers(ring.read("boot", 1, 0).value) == [2, 3]
    assert ring.read("boot", 3, 0).value["width"] == 1920


def test_a_reader_waits_for_a_packet_and_is_woken() -> None:
    ring = PacketRing("boot")
    answers: list[dict] = []
    readers = [
        threading.Thread(target=lambda after=after: answers.append(ring.read("boot", after, 10).value)) for after in (0, 0)
    ]
    for reader in readers:
        reader.start()
    waiting.until(lambda: ring.watched, 5, "a reader")
    fill(ring, 1)
    for reader in readers:
        reader.join(5)
    assert [numbers(answer) for answer in answers] == [[1], [1]]
    sleeper = threading.Thread(target=ring.read, args=("boot", 1, 10))
    sleeper.start()
    ring.close()
    sleeper.join(5)
    assert not sleeper.is_alive()


@pytest.mark.parametrize(
    ("boot_id", "after", "timeout_s"), [("boot", 4, 0), ("boot", -1, 0), (None, 0, 11), (3, 0, 0), (None, 1.5, 0)]
)
def test_wrong_arguments_are_refused(boot_id: object, after: object, timeout_s: float) -> None:
    ring = PacketRing("boot")
    fill(ring, 3)
    with pytest.raises(InvalidArgument):
        ring.read(boot_id, after, timeout_s)  # type: ignore[arg-type]


# the stream


@pytest.fixture
def streams() -> Iterator[Callable[..., VideoStream]]:
    made: list[VideoStream] = []

    def make(**changes: object) -> VideoStream:
        made.append(VideoStream("main", "boot", X264, **changes))  # type: ignore[arg-type]
        made[-1].start()
        return made[-1]

    yield make
    for stream in made:
        stream.close(5)


def feed(stream: VideoStream, first: int, last: int) -> None:
    """Offer frames, each when the one before has been encoded."""
    for number in range(first, last):
        waiting.until(lambda: stream._queued == 0, 5, "the encoder")
        assert stream.offer(picture(number), "RGB888", number * 40_000)


def test_nothing_is_encoded_for_nobody(streams: Callable[..., VideoStream], monkeypatch: pytest.MonkeyPatch) -> None:
    stream = streams()
    assert not stream.wanted
    assert not stream.offer(picture(), "RGB888", 1)
    assert stream.read(None, 0, 0).value["packets"] == []
    assert stream.wanted
    feed(stream, 1, 10)
    answer = waiting.until(lambda: (a := stream.read(None, 0, 1)).value["next"] == 9 and a, 5, "packets")
    assert numbers(answer.value) == list(range(1, 10))
    assert stream.status()["codec"] == "libx264"
    stream._ring._wanted_until = 0.0  # as if 10 s had gone
    waiting.until(lambda: stream.status()["codec"] is None, 5, "the encoder to be shut")
    waiting.until(lambda: stream._ring.size == 0, 5, "its packets to go")  # right after the encoder
    stream.read(None, 0, 0)
    feed(stream, 10, 12)
    answer = waiting.until(lambda: (a := stream.read("boot", 9, 1)).value["next"] == 11 and a, 5, "packets again")
    assert answer.value["packets"][0]["key"] and answer.value["lost"] == 0


def test_packets_of_a_changed_size_have_their_own_format(streams: Callable[..., VideoStream]) -> None:
    stream = streams()
    stream.read(None, 0, 0)
    feed(stream, 1, 4)
    waiting.until(lambda: stream.frames == 3, 5, "three frames")
    stream.offer(picture(4, 640, 480), "RGB888", 160_000)
    waiting.until(lambda: stream.frames == 4, 5, "the fourth")
    first, second = stream.read("boot", 1, 5), stream.read("boot", 3, 5)
    assert (numbers(first.value), first.value["width"]) == ([2, 3], 320)
    assert (numbers(second.value), second.value["width"], second.value["packets"][0]["key"]) == ([4], 640, True)


def test_a_slow_encoder_drops_frames_and_delays_nobody(streams: Callable[..., VideoStream], machine_lag) -> None:
    go = threading.Event()

    class Slow(H264Encoder):
        def encode(self, *args) -> list[Packet]:  # type: ignore[no-untyped-def]
            go.wait(20)
            return super().encode(*args)

    stream = streams(make_encoder=Slow)
    stream.read(None, 0, 0)
    pixels, longest_s = picture(0, 1280, 720), 0.0
    for number in range(30):
        started = time.monotonic()
        stream.offer(pixels, "RGB888", number * 33_333)
        longest_s = max(longest_s, time.monotonic() - started)
    assert stream._queued <= 8 and stream.dropped >= 21
    assert longest_s < 0.05 + machine_lag.seconds
    go.set()
    waiting.until(lambda: stream.frames + stream.dropped == 30, 10, "the rest")


def test_time_stamps_that_do_not_grow_are_dropped_and_a_new_clock_is_taken(streams: Callable[..., VideoStream]) -> None:
    stream = streams()
    stream.read(None, 0, 0)
    for time_us in (50_000_000, 50_000_000, 49_900_000, 50_040_000, 1_000):
        waiting.until(lambda: stream._queued == 0, 5, "the encoder")
        stream.offer(picture(), "RGB888", time_us)
    waiting.until(lambda: stream.frames == 3, 5, "three frames")
    assert stream.dropped == 2
    # a frame is counted before its packet is handed on
    found = waiting.until(lambda: len(p := stream.read("boot", 1, 1).value["packets"]) > 1 and p, 5, "the last one")
    assert [(packet["pts_us"], packet["key"]) for packet in found] == [(50_040_000, False), (1_000, True)]


def test_the_thread_survives_an_encoder_that_fails(
    streams: Callable[..., VideoStream], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("observatory_camerad.video.stream._BACK_OFF_S", 0.0)
    broken = [True]

    class Failing(H264Encoder):
        def encode(self, *args) -> list[Packet]:  # type: ignore[no-untyped-def]
            if broken:
                broken.pop()
                raise CommandFailed("libx264 failed: no memory")
            return super().encode(*args)

    stream = streams(make_encoder=Failing)
    stream.read(None, 0, 0)
    stream.offer(picture(), "RGB888", 1)
    waiting.until(lambda: stream.last_error == "libx264 failed: no memory", 5, "the error")
    stream.offer(picture(), "RGB888", 40_000)
    assert waiting.until(lambda: stream.frames == 1, 5, "a frame") and stream.dropped == 1
