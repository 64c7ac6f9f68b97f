"""MJPEG and snapshots of a simulated camera over real HTTP: the bytes, the headers, who looks, and what it costs camerad."""

from __future__ import annotations

import io
import socket
import struct
import threading
import time
from contextlib import ExitStack
from typing import Any

import pytest
import waiting
from cameras import Camerad
from PIL import Image
from streaming import LiveSocket, Mjpeg, StreamServer, fetch, rate, read_head, request, server_process
from vitals import Vitals

FEEDS = ("/video_feed", "/api/v1/cameras/cam/streams/live/mjpeg")
SNAPSHOTS = ("/photo_feed", "/photo_feed_hr", "/api/v1/cameras/cam/streams/live/snapshot.jpg")


def _size(jpeg: bytes) -> tuple[int, int]:
    assert jpeg.startswith(b"\xff\xd8")
    assert jpeg.endswith(b"\xff\xd9")
    with Image.open(io.BytesIO(jpeg)) as image:
        image.load()
        return image.size


def _frames(camerad: Camerad) -> int:
    with camerad.connect() as camera:
        return int(camera.report_status()["frames"])


@pytest.mark.parametrize("path", FEEDS)
def test_parts(server: StreamServer, path: str) -> None:
    with Mjpeg(server.port, path) as client:
        assert client.status == 200
        assert client.headers["content-type"] == "multipart/x-mixed-replace; boundary=frame"
        assert client.headers["cache-control"] == "no-store"
        assert client.headers["x-accel-buffering"] == "no"
        assert client.headers["connection"] == "close"
        assert not {"transfer-encoding", "content-length", "content-encoding"} & set(client.headers)
        stamps = []
        for _ in range(5):
            headers, jpeg = client.part()
            assert set(headers) == {"Content-Type", "Content-Length", "X-Timestamp"}
            assert headers["Content-Type"] == "image/jpeg"
            assert _size(jpeg) == (320, 180)
            stamps.append(float(headers["X-Timestamp"]))
        assert stamps == sorted(set(stamps))
        assert abs(time.time() - stamps[-1]) < 5


def test_boundary_comes_with_its_part(server: StreamServer) -> None:
    """A browser shows a picture when it sees the boundary after it: that must not wait for the next picture."""
    with Mjpeg(server.port) as client:
        client.part()
        client.sock.settimeout(5)
        buffered = client.file.read1(1 << 20)
        while not buffered.endswith(b"\xff\xd9\r\n--frame\r\n"):
            assert len(buffered) < 10 << 20
            buffered += client.file.read1(1 << 20)


def test_http_1_0(server: StreamServer) -> None:
    with Mjpeg(server.port, version="1.0") as client:
        assert "transfer-encoding" not in client.headers
        for _ in range(3):
            client.part()


@pytest.mark.parametrize("path", SNAPSHOTS)
def test_snapshot(server: StreamServer, path: str) -> None:
    status, headers, body = fetch(server.port, path)
    assert status == 200
    assert headers["content-type"] == "image/jpeg"
    assert headers["cache-control"] == "no-store"
    assert int(headers["content-length"]) == len(body)
    assert abs(time.time() - float(headers["x-timestamp"])) < 5
    assert _size(body) == ((640, 360) if path == "/photo_feed_hr" else (320, 180))


@pytest.mark.parametrize("path", [*FEEDS, *SNAPSHOTS])
def test_head(server: StreamServer, path: str) -> None:
    status, headers, body = fetch(server.port, path, method="HEAD")
    assert (status, body) == (200, b"")
    assert headers["content-type"].startswith(("multipart/x-mixed-replace; boundary=frame", "image/jpeg"))
    assert headers["cache-control"] == "no-store"
    assert server.relays.to_wire() == []


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/video_feed2", "no second camera is configured"),
        ("/photo_feed2", "no second camera is configured"),
        ("/api/v1/cameras/moon/streams/live/mjpeg", "there is no camera 'moon'"),
        ("/api/v1/cameras/cam/streams/nowhere/mjpeg", "expected one of"),
        ("/api/v1/cameras/cam/streams/1%20x/snapshot.jpg", "expected one of"),
    ],
)
def test_refused(server: StreamServer, path: str, says: str) -> None:
    status, _, body = fetch(server.port, path)
    assert status == 404
    assert says in body.decode()


@pytest.mark.parametrize("path", [*FEEDS, *SNAPSHOTS])
def test_stranger_is_refused(server: StreamServer, path: str) -> None:
    for method in ("GET", "HEAD"):
        assert fetch(server.port, path, method=method, headers=["X-User: stranger"])[0] == 403
    assert server.relays.to_wire() == []


@pytest.mark.parametrize(("user", "policy"), [("nobody", "cross-origin"), ("somebody", "same-origin")])
def test_public_streams_may_be_shown_by_other_sites(server: StreamServer, user: str, policy: str) -> None:
    headers = [f"X-User: {user}"]
    assert fetch(server.port, "/photo_feed", headers=headers)[1]["cross-origin-resource-policy"] == policy
    with request(server.port, "/video_feed", headers=headers) as sock, sock.makefile("rb") as file:
        assert read_head(file)[1]["cross-origin-resource-policy"] == policy


def test_one_fetch_however_many_look(server: StreamServer, camerad: Camerad) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(Mjpeg(server.port)) for _ in range(10)]
        sockets = [stack.enter_context(LiveSocket(server.port, "/api/v1/cameras/cam/streams/live/ws")) for _ in range(5)]
        for client in clients:
            client.part()
        for live in sockets:
            live.message()
        frames, before = _frames(camerad), server.relays.to_wire()  # what is made meanwhile counts as made
        waiting.until(lambda: _frames(camerad) >= frames + 60, 20, "60 frames")
        after, made = server.relays.to_wire(), _frames(camerad) - frames
        connections = _connections_to(camerad.port)
    assert [relay["viewers"] for relay in after] == [15]
    assert after[0]["items"] - before[0]["items"] <= made + 5
    assert connections == 1


def _connections_to(port: int) -> int:
    """How many of this process's connections to a daemon are open."""
    import psutil

    found = psutil.Process().net_connections("tcp")
    return sum(bool(one.raddr) and one.raddr.port == port and one.status == "ESTABLISHED" for one in found)


def test_the_last_who_leaves_stops_it(server: StreamServer, camerad: Camerad, machine_lag: Any) -> None:
    with Mjpeg(server.port) as client, Mjpeg(server.port) as other:
        client.part()
        other.part()
    left_at = time.monotonic()
    waiting.until(lambda: server.relays.to_wire() == [], 5, "the fetch to end")
    assert time.monotonic() - left_at < 2 + machine_lag.seconds
    with camerad.connect() as camera:
        assert "lores" in camera.report_status()["watched"]
        waiting.until(lambda: camera.report_status()["watched"] == [], 15, "the encoder to end")
    with Mjpeg(server.port) as client:
        client.part()


def test_page_loaded_again_keeps_the_fetch(server: StreamServer) -> None:
    for _ in range(5):
        with Mjpeg(server.port) as client:
            client.part()
    (relay,) = server.relays.to_wire()
    assert relay["items"] < 60


def test_stalled_clients_cost_nobody_anything(server: StreamServer, machine_lag: Any) -> None:
    with ExitStack() as stack:
        healthy = stack.enter_context(Mjpeg(server.port))
        alone = rate(healthy.part, 2.0)
        stalled = [stack.enter_context(request(server.port, "/video_feed", receive_buffer=4096)) for _ in range(10)]
        path = "/api/v1/cameras/cam/streams/live/ws"
        stalled += [stack.enter_context(LiveSocket(server.port, path, receive_buffer=4096)).sock for _ in range(10)]
        waiting.until(lambda: server.relays.to_wire()[0]["viewers"] == 21, 5, "all to look")
        assert rate(healthy.part, 3.0) > 0.9 * alone * (1 - machine_lag.seconds / 3.0)
        assert server.relays.to_wire()[0]["skipped"] > 0

        def dropped() -> bool:
            healthy.part()
            return server.relays.to_wire()[0]["viewers"] == 1

        waiting.until(dropped, 20, "the stalled to be dropped")


class LargePictures:
    """In the place of a client of camerad: 30 pictures a second of 200 kB."""

    def __init__(self) -> None:
        self._count = 0
        self._pause = threading.Event()

    def invoke(self, method: str, *_: Any, timeout_s: float | None = None) -> dict[str, Any]:
        """The next picture, or the status."""
        self._pause.wait(1 / 30)
        self._count += 1
        picture = {"boot_id": "1", "number": self._count, "metadata": {}, "data": bytes(200_000)}
        return picture if method == "frame" else {"state": "acquiring"}

    def close(self) -> None:
        """Nothing is open."""


def test_a_slow_client_that_takes_all_the_time_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its link is never idle, so there is always something that it has not taken."""
    monkeypatch.setattr("observatory_webd.streams.relay.STALLED_S", 2.0)  # more than a busy machine holds us up
    with StreamServer({"cam": LargePictures}) as server, Mjpeg(server.port, receive_buffer=8192) as client:
        until = time.monotonic() + 5.0
        taken = 0
        while (now := time.monotonic()) < until:
            piece = client.file.read1(8192)
            assert piece, "it was dropped"
            taken += len(piece)
            free_at = now + len(piece) / 400_000
            waiting.until(lambda free_at=free_at: time.monotonic() >= free_at, 2, "room on a link of 400 kB/s")
        assert server.relays.to_wire()[0]["viewers"] == 1
        assert taken > 5 * 65536


def test_slow_client_sees_new_pictures(server: StreamServer) -> None:
    """Who takes one picture a second sees the second's last one, not the one after its last."""
    with Mjpeg(server.port, receive_buffer=8192) as client:
        ages = []
        for _ in range(4):
            until = time.monotonic() + 1.0
            waiting.until(lambda end=until: time.monotonic() >= end, 2, "a second")
            while True:  # what the socket held already
                headers, _ = client.part()
                ages.append(time.time() - float(headers["X-Timestamp"]))
                if ages[-1] < 0.3:
                    break
        assert len(ages) < 60


def test_clients_that_vanish(server: StreamServer, caplog: pytest.LogCaptureFixture) -> None:
    """A connection that is reset while a picture is written hurts nobody."""
    reset = struct.pack("ii", 1, 0)
    with Mjpeg(server.port) as good:
        for _ in range(20):
            clients = [request(server.port, "/video_feed") for _ in range(10)]
            good.part()
            for sock in clients:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
                sock.close()
            good.part()
        waiting.until(lambda: server.relays.to_wire()[0]["viewers"] == 1, 10, "the others to be forgotten")
        good.part()
    assert [record.message for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


def test_too_many(camerad: Camerad) -> None:
    with StreamServer({"cam": camerad.connect}, most_viewers=2) as server, ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(Mjpeg(server.port)).part()
        status, _, body = fetch(server.port, "/video_feed")
        assert status == 503
        assert "2 viewers look already" in body.decode()


def test_nobody_takes_all_places(camerad: Camerad) -> None:
    """Of one user, or one address without a login, fewer look than in all; a snapshot needs no place."""
    with StreamServer({"cam": camerad.connect}, most_viewers=5, most_of_one=2) as server, ExitStack() as stack:

        def look(user: str) -> int:
            file = stack.enter_context(
                stack.enter_context(request(server.port, "/video_feed", headers=[f"X-User: {user}"])).makefile("rb")
            )
            return read_head(file)[0]

        assert [look("eve") for _ in range(3)] == [200, 200, 503]
        assert [look("nobody") for _ in range(3)] == [200, 200, 503]
        assert fetch(server.port, "/photo_feed", headers=["X-User: eve"])[0] == 200
        with LiveSocket(server.port, "/api/v1/cameras/cam/streams/live/ws", headers=["X-User: eve"]) as refused:
            assert refused.closed()[0] == 1013
        assert [look("anna"), look("anna")] == [200, 503]
        assert fetch(server.port, "/photo_feed", headers=["X-User: anna"])[0] == 200


def test_invented_names_cost_nothing(server: StreamServer) -> None:
    for n in range(20):
        assert fetch(server.port, f"/api/v1/cameras/cam/streams/x{n}/snapshot.jpg")[0] == 404
        assert fetch(server.port, f"/api/v1/cameras/cam/streams/x{n}/mjpeg")[0] == 404
    assert server.relays.to_wire() == []
    assert fetch(server.port, "/photo_feed")[0] == 200


def test_two_cameras(camerad: Camerad) -> None:
    with StreamServer({"left": camerad.connect, "right": camerad.connect}) as server:
        for path in ("/video_feed2", "/api/v1/cameras/right/streams/live/mjpeg"):
            with Mjpeg(server.port, path) as client:
                client.part()
        assert fetch(server.port, "/photo_feed2")[0] == 200
        assert {relay["camera"] for relay in server.relays.to_wire()} == {"right"}


def test_ended_for_a_user(server: StreamServer) -> None:
    with Mjpeg(server.port) as client, request(server.port, "/video_feed", headers=["X-User: eve"]) as other:
        with other.makefile("rb") as file:
            read_head(file)
            server.end_for("eve")
            file.read()  # to its end
        client.part()


def test_memory_is_flat(camerad: Camerad) -> None:
    with server_process(camerad.etc) as (port, pid):
        vitals = Vitals(pid)

        def visits(count: int) -> None:
            for _ in range(count):
                with ExitStack() as stack:
                    for _ in range(10):
                        stack.enter_context(Mjpeg(port)).part()
                    stack.enter_context(request(port, "/video_feed", receive_buffer=4096))

        visits(5)
        before_mb, threads = vitals.memory_mb(), vitals.threads()
        visits(40)
        assert vitals.memory_mb() < before_mb + 12
        waiting.until(lambda: vitals.threads() <= threads, 10, "threads to end")
