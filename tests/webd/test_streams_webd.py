"""Streams through the whole of webd: who may look, and that a login's end is the stream's."""

from __future__ import annotations

import waiting
import webd
from streaming import LiveSocket, Mjpeg, fetch, read_head, request

SOCKET = "/api/v1/cameras/cam1/streams/live/ws"


def _cookie(browser: webd.Browser) -> str:
    return "Cookie: " + "; ".join(f"{name}={value}" for name, value in browser.cookies.items())


def test_nobody_looks_without_a_login(rig: webd.Rig) -> None:
    for path in ("/video_feed", "/photo_feed", "/photo_feed_hr", "/api/v1/cameras/cam1/streams/live/mjpeg"):
        assert fetch(rig.web.port, path)[0] == 401
    with LiveSocket(rig.web.port, SOCKET) as live:
        assert live.status == 403


def test_stream_ends_with_the_login(rig: webd.Rig, administrator: webd.Browser) -> None:
    cookie, offer = _cookie(administrator), "Accept-Encoding: gzip, br"  # nothing is compressed, whatever is offered
    with request(rig.web.port, "/video_feed", headers=[cookie, offer]) as sock, sock.makefile("rb") as file:
        status, headers = read_head(file)
        assert (status, headers["content-type"]) == (200, "multipart/x-mixed-replace; boundary=frame")
        assert "content-encoding" not in headers and file.readline() == b"--frame\r\n"
        with LiveSocket(rig.web.port, f"{SOCKET}?codec=h264", headers=[cookie]) as live:
            assert live.message().key
            status, headers, picture = fetch(rig.web.port, "/photo_feed", headers=[cookie, offer])
            assert status == 200 and "content-encoding" not in headers and picture.startswith(b"\xff\xd8")
            administrator.post("/api/v1/session/end").raise_for_status()
            assert live.closed()[1] == "the login has ended"
        while file.read(1 << 16):
            pass
    with rig.web.connect() as web:
        waiting.until(lambda: web.report_status()["streams"] == [], 5, "the streams to end")


def test_public_streams(rig: webd.Rig, tmp_path) -> None:
    camera = rig.cameras["cam1"]
    public = webd.Webd(tmp_path, {"camera": {"cam1": ("test_camera", camera.port)}}, public_streams=True)
    try:
        public.start()
        with Mjpeg(public.port) as client:
            client.part()
    finally:
        public.close()
