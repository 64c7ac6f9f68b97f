"""GET /system: who looks at which stream, told to whom; the counts from which a rate is made; logins of users."""

from __future__ import annotations

import asyncio
import queue
from types import SimpleNamespace
from typing import Any, cast

import pytest
import waiting
import webd
from streaming import LiveSocket, fetch, read_head, request

from observatory_webd.streams.items import Format, Item
from observatory_webd.streams.relay import Client, Relay
from observatory_webd.streams.sink import Sink

SOCKET = "/api/v1/cameras/cam1/streams/live/ws"


def _cookie(browser: webd.Browser) -> str:
    return "Cookie: " + "; ".join(f"{name}={value}" for name, value in browser.cookies.items())


def _viewers(browser: webd.Browser) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = browser.get("/api/v1/system").raise_for_status().json()["viewers"]
    return found


def test_operators_are_told_who_looks_and_viewers_how_many(rig: webd.Rig, administrator: webd.Browser) -> None:
    port = rig.web.port
    with rig.web.user("opal", "operator") as opal, rig.web.user("vera", "viewer") as vera:
        assert _viewers(opal) == []
        with (
            request(port, "/video_feed", headers=[_cookie(vera)]) as sock,
            sock.makefile("rb") as file,
            LiveSocket(port, SOCKET, headers=[_cookie(opal)]) as jpeg,
            LiveSocket(port, f"{SOCKET}?codec=h264", headers=[_cookie(opal)]) as video,
        ):
            assert read_head(file)[0] == 200
            assert jpeg.message() and video.message()
            seen = waiting.until(lambda: (found := _viewers(opal)) and len(found) == 3 and found, 10, "three viewers")
            assert {(one["user"], one["transport"], one["stream"]) for one in seen} == {
                ("vera", "mjpeg", "live"), ("opal", "ws-jpeg", "live"), ("opal", "ws-h264", "live"),
            }  # fmt: skip
            assert all(one["camera"] == "cam1" and one["address"] == "127.0.0.1" for one in seen)
            assert len({one["id"] for one in seen}) == 3
            assert [one["since"] for one in seen] == sorted(one["since"] for one in seen)
            told = vera.get("/api/v1/system").json()
            assert told["viewers"] is None and "127.0.0.1" not in str(told["streams"])
            assert sum(stream["viewers"] for stream in told["streams"]) == 3
            before = {one["id"]: one["sent"] for one in _viewers(opal)}
            waiting.until(lambda: all(o["sent"] + o["skipped"] > before[o["id"]] + 3 for o in _viewers(opal)), 20, "frames")
            # a lower role counts at once
            administrator.post("/api/v1/users/opal/role", json={"role": "viewer"}).raise_for_status()
            assert opal.get("/api/v1/system").json()["viewers"] is None
        waiting.until(lambda: _viewers(administrator) == [], 10, "the viewers to leave")


def test_who_is_not_logged_in_is_seen_by_address_alone(rig: webd.Rig, tmp_path: Any) -> None:
    camera = rig.cameras["cam1"]
    public = webd.Webd(tmp_path, {"camera": {"cam1": ("test_camera", camera.port)}}, public_streams=True)
    try:
        public.start()
        with public.administrator() as administrator, request(public.port, "/video_feed") as sock, sock.makefile("rb") as file:
            assert read_head(file)[0] == 200
            (seen,) = waiting.until(lambda: _viewers(administrator), 10, "a viewer")
            assert (seen["user"], seen["address"], seen["transport"]) == (None, "127.0.0.1", "mjpeg")
            assert administrator.get("/api/v1/system").json()["public_streams"] is True
    finally:
        public.close()


def test_the_address_is_the_one_that_a_trusted_proxy_tells(rig: webd.Rig, tmp_path: Any) -> None:
    camera = rig.cameras["cam1"]
    behind = {"camera": {"cam1": ("test_camera", camera.port)}}
    proxied = webd.Webd(tmp_path, behind, public_streams=True, trusted_proxies=["127.0.0.1"])
    try:
        proxied.start()
        with (
            proxied.administrator() as administrator,
            request(proxied.port, "/video_feed", headers=["X-Forwarded-For: 203.0.113.7"]) as sock,
            sock.makefile("rb") as file,
        ):
            assert read_head(file)[0] == 200
            (seen,) = waiting.until(lambda: _viewers(administrator), 10, "a viewer")
            assert seen["address"] == "203.0.113.7"
    finally:
        proxied.close()


def test_a_snapshot_leaves_no_viewer(rig: webd.Rig, administrator: webd.Browser) -> None:
    assert fetch(rig.web.port, "/photo_feed", headers=[_cookie(administrator)])[0] == 200
    assert _viewers(administrator) == []


def test_the_last_login_is_known(rig: webd.Rig, administrator: webd.Browser) -> None:
    body = {"user": "late", "role": "viewer", "password": "given by somebody"}
    made = administrator.post("/api/v1/users", json=body).raise_for_status().json()
    assert made["last_login"] is None

    def of(name: str) -> Any:
        return next(user for user in administrator.get("/api/v1/users").json() if user["user"] == name)["last_login"]

    assert of("late") is None
    with rig.web.browser() as late:
        late.log_in("late", body["password"])
    first = of("late")
    assert first > made["created"]
    with rig.web.browser() as late:
        late.log_in("late", body["password"])
    assert of("late") > first
    gone = administrator.post("/api/v1/users/late/remove").raise_for_status().json()
    assert (gone["user"], gone["last_login"]) == ("late", None)


class _Transport(asyncio.Transport):
    """A client that takes everything, or nothing, and has left just now."""

    def __init__(self, waiting_bytes: int = 0) -> None:
        super().__init__({"socket": self})
        self.waiting_bytes = waiting_bytes
        self.written: list[bytes] = []

    def setsockopt(self, *_: object) -> None:
        """As uvloop says it."""
        raise ValueError("negative file descriptor")

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return self.waiting_bytes

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))


class _Fed:
    """A stream of what it is given."""

    def __init__(self) -> None:
        self.items: queue.SimpleQueue[Item] = queue.SimpleQueue()

    def next(self, camera: object) -> tuple[list[Item], bool]:
        try:
            return [self.items.get(timeout=0.05)], True
        except queue.Empty:
            return [], True


@pytest.mark.parametrize("codec", ["jpeg", "h264"])
def test_what_was_sent_is_counted_also_for_who_comes_later(codec: str) -> None:
    client, known, source = Client(None, None, f"ws-{codec}"), Format(codec), _Fed()

    def encode(item: Item) -> bytes:
        return item.data

    async def look() -> None:
        relay = Relay("cam", "live", codec, cast("Any", SimpleNamespace(close=lambda: None)), lambda: cast("Any", source))

        async def spread(number: int) -> None:
            source.items.put(Item(number, 0, number == 0 or codec == "jpeg", b"x", known))
            async with asyncio.timeout(10):
                while relay.items <= number:
                    await asyncio.sleep(0.005)

        def watched(transport: _Transport) -> Any:
            return relay.watched(Sink(transport, lambda: True), encode, client, lambda _: b"")

        first, late, stuck = _Transport(), _Transport(), _Transport(1 << 24)
        with watched(first):
            for number in range(3):
                await spread(number)
            with watched(late), watched(stuck):
                await spread(3)
                had = 1 if codec == "jpeg" else 3  # what a decoder needs to begin
                told = sorted((one["sent"], one["skipped"]) for one in relay.viewers_to_wire())
                assert told == sorted([(4, 0), (had + 1, 0), (0, had + 1)])
                assert [one.written.count(b"x") for one in (first, late, stuck)] == [4, had + 1, 0]
        relay.stop()
        assert await asyncio.to_thread(relay.join, 5)

    asyncio.run(look())
