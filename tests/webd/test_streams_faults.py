"""A camera that is killed, stalls, or is stopped under those who look: held, ended within 5 s, and there again."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import waiting
from cameras import Camerad
from streaming import LiveSocket, Mjpeg, StreamServer, fetch

SOCKET = "/api/v1/cameras/cam/streams/live/ws"
VIDEO = f"{SOCKET}?codec=h264"
ENDED_WITHIN_S = 5.0


@pytest.fixture
def camerad(tmp_path: Path) -> Iterator[Camerad]:
    running = Camerad(tmp_path)
    running.start()
    yield running
    running.fault()
    running.end()


@contextlib.contextmanager
def _all_ways(server: StreamServer) -> Iterator[tuple[Mjpeg, LiveSocket, LiveSocket]]:
    """Somebody looks by MJPEG, by pictures and by video on a socket, and sees something."""
    with Mjpeg(server.port) as client, LiveSocket(server.port, SOCKET) as pictures, LiveSocket(server.port, VIDEO) as video:
        client.part()
        pictures.message()
        video.message()
        yield client, pictures, video


def _until_end(client: Mjpeg, *sockets: LiveSocket) -> float:
    """Seconds until the stream ends, and those of some sockets have been told so."""
    began = time.monotonic()
    with contextlib.suppress(EOFError):
        while True:
            client.part()
    assert [live.closed()[0] for live in sockets] == [1013] * len(sockets)
    return time.monotonic() - began


def _looks_again(server: StreamServer) -> None:
    waiting.until(lambda: fetch(server.port, "/photo_feed")[0] == 200, 20, "pictures again")
    with Mjpeg(server.port) as client:
        client.part()


def test_killed(server: StreamServer, camerad: Camerad, machine_lag) -> None:
    with Mjpeg(server.port) as client, LiveSocket(server.port, SOCKET) as live:
        client.part()
        live.message()
        camerad.kill()
        assert _until_end(client) < ENDED_WITHIN_S + machine_lag.seconds
        code, reason = live.closed()
        assert code == 1013
        assert "cannot reach test_camera" in reason
    began = time.monotonic()
    status, _, body = fetch(server.port, "/video_feed")
    assert status == 503
    assert "cannot reach test_camera" in body.decode()
    assert time.monotonic() - began < ENDED_WITHIN_S
    camerad.start()
    _looks_again(server)


def test_restarted_while_held(server: StreamServer, camerad: Camerad, monkeypatch: pytest.MonkeyPatch) -> None:
    """As under systemd: who looks sees a gap and no end."""
    monkeypatch.setattr("observatory_webd.streams.relay.HOLD_S", 30.0)  # a busy machine may take its time to start a daemon
    with Mjpeg(server.port) as client, LiveSocket(server.port, VIDEO) as live:
        first, _ = client.part()
        live.message()
        camerad.kill()
        killed_at = time.time()
        camerad.run()
        back_at = time.time()
        stamps = [float(client.part()[0]["X-Timestamp"]) for _ in range(60)]
        assert stamps == sorted(stamps)
        assert stamps[-1] > back_at > float(first["X-Timestamp"])
        while (message := live.message()).timestamp_us < killed_at * 1e6:
            pass
        assert message.key  # the first of the new run


def test_stalled_camera(server: StreamServer, camerad: Camerad, machine_lag) -> None:
    with _all_ways(server) as clients:
        camerad.fault(stall=True)
        assert _until_end(*clients) < ENDED_WITHIN_S + machine_lag.seconds
    status, _, body = fetch(server.port, "/photo_feed")
    assert status == 503
    assert "delivers nothing" in body.decode()
    camerad.fault()
    _looks_again(server)


def test_unplugged_camera(server: StreamServer, camerad: Camerad, machine_lag) -> None:
    with _all_ways(server) as clients:
        camerad.fault(gone=True)
        assert _until_end(*clients) < ENDED_WITHIN_S + machine_lag.seconds
    assert fetch(server.port, "/photo_feed")[0] == 503
    assert camerad.process.wait(30) == 75  # to be started again by systemd
    camerad.fault()
    camerad.run()
    _looks_again(server)


def test_frozen_daemon(server: StreamServer, camerad: Camerad, machine_lag) -> None:
    with _all_ways(server) as clients:
        camerad.process.send_signal(signal.SIGSTOP)
        try:
            assert _until_end(*clients) < ENDED_WITHIN_S + machine_lag.seconds
        finally:
            camerad.process.send_signal(signal.SIGCONT)
    _looks_again(server)


def test_shut_down(server: StreamServer, camerad: Camerad, machine_lag) -> None:
    with Mjpeg(server.port) as client, camerad.connect() as camera:
        client.part()
        camera.shutdown()
        assert _until_end(client) < ENDED_WITHIN_S + machine_lag.seconds
        status, _, body = fetch(server.port, "/photo_feed")
        assert status == 503
        assert "the camera is shut down" in body.decode()
        camera.initialize()
    _looks_again(server)


def test_long_exposure_is_no_fault(server: StreamServer, camerad: Camerad) -> None:
    with Mjpeg(server.port) as client, camerad.connect() as camera:
        client.part()
        camera.set_exposure(5.0, 0.0)
        stamps: list[float] = []
        while len(stamps) < 2 or stamps[-1] - stamps[-2] < 4:
            stamps.append(float(client.part()[0]["X-Timestamp"]))
        status, _, _ = fetch(server.port, "/photo_feed")
        assert status == 200


def test_server_stops_under_viewers(camerad: Camerad, machine_lag) -> None:
    with StreamServer({"cam": camerad.connect}) as server:
        client, live = Mjpeg(server.port), LiveSocket(server.port, SOCKET)
        client.part()
        live.message()
        began = time.monotonic()
    assert time.monotonic() - began < ENDED_WITHIN_S + machine_lag.seconds
    with client:
        _until_end(client)
    with live:
        assert live.closed()[1] == "the server is being stopped"
