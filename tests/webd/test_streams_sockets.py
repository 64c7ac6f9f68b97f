"""Pictures and video over WebSockets: the messages, who may open one, slow clients, and what H.264 packets decode to."""

from __future__ import annotations

import itertools
import threading
import time
from contextlib import ExitStack
from typing import Any

import av
import pytest
import waiting
from cameras import Camerad
from streaming import LiveSocket, Mjpeg, StreamServer, rate

PICTURES = "/api/v1/cameras/cam/streams/live/ws"
PACKETS = f"{PICTURES}?codec=h264"


def test_pictures(server: StreamServer) -> None:
    with LiveSocket(server.port, PICTURES) as live:
        assert live.status == 101
        assert live.text() == {"type": "format", "codec": "jpeg", "width": None, "height": None}
        messages = [live.message() for _ in range(5)]
    assert all(message.key for message in messages)
    assert all(message.data.startswith(b"\xff\xd8") and message.data.endswith(b"\xff\xd9") for message in messages)
    numbers = [message.number for message in messages]
    assert numbers == sorted(set(numbers))
    assert abs(time.time() - messages[-1].timestamp_us / 1e6) < 5


def test_nothing_is_compressed(server: StreamServer) -> None:
    with LiveSocket(server.port, PICTURES) as live:  # which offers it, and checks each frame's bits
        assert "sec-websocket-extensions" not in live.headers
        live.message()


def test_packets_decode(server: StreamServer) -> None:
    with LiveSocket(server.port, PACKETS) as live:
        format = live.text()
        messages = [live.message() for _ in range(40)]
    assert format["type"] == "format"
    assert format["codec"].startswith("avc1.")
    assert (format["width"], format["height"]) == (320, 180)
    assert messages[0].key
    assert [message.number for message in messages] == list(range(messages[0].number, messages[0].number + 40))
    assert abs(time.time() - messages[-1].timestamp_us / 1e6) < 5
    assert _decoded(messages) == 40


def _decoded(messages: list[Any]) -> int:
    """How many pictures a decoder makes of packets; an error if one cannot be decoded."""
    decoder = av.CodecContext.create("h264", "r")
    count = 0
    for message in [*messages, None]:
        count += len(decoder.decode(None if message is None else av.Packet(message.data)))
    return count


def test_newcomer_begins_at_a_key_frame(server: StreamServer, machine_lag: Any) -> None:
    with LiveSocket(server.port, PACKETS) as first:
        for _ in range(45):
            first.message()
        began = time.monotonic()
        with LiveSocket(server.port, PACKETS) as second:
            messages = [second.message() for _ in range(10)]
            assert time.monotonic() - began < 2 + machine_lag.seconds
        assert messages[0].key
        assert _decoded(messages) == 10
        assert len(server.relays.to_wire()) == 1


def test_slow_video_viewer_goes_on_at_a_key_frame(
    camerad: Camerad, server: StreamServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("observatory_webd.streams.relay._BEHIND_BYTES", 20_000)
    with LiveSocket(server.port, PACKETS) as good, LiveSocket(server.port, PACKETS, receive_buffer=4096) as slow:
        slow.message()

        def behind() -> bool:
            good.message()
            return bool(server.relays.to_wire()[0]["skipped"] > 20)

        waiting.until(behind, 30, "packets to be skipped")
        stopped = threading.Event()
        aside = threading.Thread(target=lambda: [good.message() for _ in iter(stopped.is_set, True)])
        aside.start()
        try:
            messages = [slow.message()]
            while not (messages[-1].key and messages[-1].number > messages[-2].number + 1 if len(messages) > 1 else False):
                messages.append(slow.message())
            messages += [slow.message() for _ in range(10)]
        finally:
            stopped.set()
            aside.join(10)
    for before, after in itertools.pairwise(messages):
        assert after.key or after.number == before.number + 1


def test_slow_picture_viewer_skips(server: StreamServer, machine_lag: Any) -> None:
    with Mjpeg(server.port) as good, LiveSocket(server.port, PICTURES, receive_buffer=4096) as slow:
        slow.message()

        def behind() -> bool:
            good.part()
            return bool(server.relays.to_wire()[0]["skipped"] > 20)

        waiting.until(behind, 30, "pictures to be skipped")
        numbers = [slow.message().number for _ in range(30)]
        assert max(after - before for before, after in itertools.pairwise(numbers)) > 10
        assert rate(good.part, 1.0) > 20 * (1 - machine_lag.seconds)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "file://"])
def test_foreign_pages_are_refused(server: StreamServer, origin: str) -> None:
    with LiveSocket(server.port, PICTURES, headers=[f"Origin: {origin}"]) as live:
        assert live.status == 403
    assert server.relays.to_wire() == []


def test_stranger_is_refused(server: StreamServer) -> None:
    with LiveSocket(server.port, PICTURES, headers=["X-User: stranger"]) as live:
        assert live.status == 403
    assert server.relays.to_wire() == []


def test_own_page(server: StreamServer) -> None:
    with LiveSocket(server.port, PICTURES, headers=[f"Origin: http://127.0.0.1:{server.port}"]) as live:
        assert live.status == 101
        live.message()


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/api/v1/cameras/moon/streams/live/ws", "there is no camera 'moon'"),
        ("/api/v1/cameras/cam/streams/nowhere/ws", "expected one of"),
        ("/api/v1/cameras/cam/streams/live/ws?codec=gif", "expected one of jpeg, h264"),
    ],
)
def test_refused(server: StreamServer, path: str, says: str) -> None:
    with LiveSocket(server.port, path) as live:
        code, reason = live.closed()
    assert code == 1008
    assert says in reason


def test_clock(server: StreamServer) -> None:
    with LiveSocket(server.port, PICTURES) as live:
        live.text()
        for huge in ('{"type": "clock", "sent": 1' + "0" * 400 + "}", "[" * 60_000):
            live.send_plain(huge)
        for nonsense in ([], {"type": "clock"}, {"type": "clock", "sent": "x"}, "x", 5):
            live.send_text(nonsense)
        live.send_text({"type": "clock", "sent": 12.5})
        answer = live.text()
    assert (answer["type"], answer["sent"]) == ("clock", 12.5)
    assert abs(time.time() - answer["now_us"] / 1e6) < 5


def test_client_that_talks_too_much_is_answered_seldom(server: StreamServer) -> None:
    with LiveSocket(server.port, PICTURES) as live:
        live.text()
        for _ in range(200):
            live.send_text({"type": "clock", "sent": 1})
        clocks = 0
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            kind, _ = live.frame()
            clocks += kind == 1
    assert 1 <= clocks <= 3


def test_one_fetch_for_both_ways_and_one_encoder(server: StreamServer, camerad: Camerad) -> None:
    with ExitStack() as stack:
        sockets = [stack.enter_context(LiveSocket(server.port, path)) for path in (PICTURES, PACKETS) for _ in range(4)]
        for live in sockets:
            live.message()
        relays = server.relays.to_wire()
        assert sorted((relay["codec"], relay["viewers"]) for relay in relays) == [("h264", 4), ("jpeg", 4)]
    waiting.until(lambda: server.relays.to_wire() == [], 4, "the fetches to end")


def test_the_last_who_leaves_ends_the_video_encoder(server: StreamServer, camerad: Camerad) -> None:
    def encoders() -> int:
        return camerad.log.read_text().count("is encoded by")

    with LiveSocket(server.port, PACKETS) as live, LiveSocket(server.port, PACKETS) as other:
        live.message()
        other.message()
        encoding, begun = camerad.vitals.threads(), encoders()
    waiting.until(lambda: server.relays.to_wire() == [], 4, "the fetch to end")
    waiting.until(lambda: camerad.vitals.threads() < encoding, 20, "the encoder's threads to end")
    with LiveSocket(server.port, PACKETS) as live:
        live.message()
    waiting.until(lambda: encoders() > begun, 10, "the log, which has a thread of its own")
    assert encoders() == begun + 1
