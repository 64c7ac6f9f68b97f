"""One who asks for much leaves room for the others; and what is sent ends when it may be sent no more."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import waiting
import webd
from streaming import read_head, request

from observatory_webd import places
from observatory_webd.api import reading
from observatory_webd.lanes import Busy
from observatory_webd.links.link import Link

AT = "/api/v1/cameras/cam1"
#: More than the kernel holds for a connection.
LARGE = 64 << 20


def cookie(browser: webd.Browser) -> str:
    return "Cookie: " + "; ".join(f"{name}={value}" for name, value in browser.cookies.items())


@contextmanager
def large(rig: webd.Rig, name: str) -> Iterator[Path]:
    """A large file of the camera's."""
    path = rig.cameras["cam1"].output / name
    with path.open("wb") as file:
        file.truncate(LARGE)
    try:
        yield path
    finally:
        path.unlink()


def rest_of(sock: socket.socket) -> int:
    """How many bytes come until the end, or the reset."""
    count = 0
    try:
        while piece := sock.recv(1 << 20):
            count += len(piece)
    except ConnectionResetError:
        pass
    return count


def test_listeners_of_one_user_leave_room_for_others(rig: webd.Rig, administrator: webd.Browser) -> None:
    with rig.web.user("lena", "viewer") as viewer, ExitStack() as stack:

        def listen(browser: webd.Browser) -> int:
            sock = stack.enter_context(request(rig.web.port, "/api/v1/events", headers=[cookie(browser)]))
            return read_head(stack.enter_context(sock.makefile("rb")))[0]

        assert {listen(viewer) for _ in range(places.MOST_OF_ONE)} == {200}
        assert listen(viewer) == 503
        assert listen(administrator) == 200
    waiting.until(lambda: administrator.get("/api/v1/system").json()["listeners"] == 0, 20, "all to be gone")


def test_places_are_counted_by_who_has_them() -> None:
    taken = ["eve"] * 3 + ["anna"]
    places.require_place(taken, "anna", "look", most=5, most_of_one=3)
    with pytest.raises(Busy, match="3 look already for one user"):
        places.require_place(taken, "eve", "look", most=5, most_of_one=3)
    with pytest.raises(Busy, match="4 look already, which is the most"):
        places.require_place(taken, "anna", "look", most=4, most_of_one=3)
    assert places.MOST_OF_ONE >= 200, "as many look from behind one address"


def test_who_waits_for_a_job_keeps_nobody_from_the_files(rig: webd.Rig, administrator: webd.Browser) -> None:
    job = administrator.post(f"{AT}/video/start", json={}).raise_for_status().json()["id"]
    with rig.web.user("wanda", "viewer") as viewer, ThreadPoolExecutor(30) as pool:
        waits = [pool.submit(viewer.get, f"{AT}/jobs/{job}?wait_s=10") for _ in range(30)]
        try:
            for _ in range(5):
                waiting.until(lambda: not any(wait.done() for wait in waits), 1, "all to wait")
                assert administrator.get(f"{AT}/files").status_code == 200
                assert administrator.get(f"{AT}/days").elapsed.total_seconds() < 3
        finally:
            administrator.post(f"{AT}/video/stop", json={}).raise_for_status()
        assert {wait.result(20).status_code for wait in waits} == {200}


def test_a_download_ends_with_its_users_removal(rig: webd.Rig, administrator: webd.Browser) -> None:
    with rig.web.user("rita", "viewer") as viewer, large(rig, "large.bin") as path:
        for where in (f"files/{path.name}", f"zip?file={path.name}"):
            with request(rig.web.port, f"{AT}/{where}", headers=[cookie(viewer)], receive_buffer=4096) as sock:
                assert sock.recv(12) == b"HTTP/1.1 200"
                if where.startswith("zip"):
                    administrator.post("/api/v1/users/rita/remove", json={}).raise_for_status()
                else:
                    viewer.post("/api/v1/session/end").raise_for_status()
                    viewer.log_in("rita")
                assert rest_of(sock) < LARGE // 2
    assert "Traceback" not in rig.web.log()


def test_a_zip_whose_file_is_gone_is_broken_off_without_a_trace(rig: webd.Rig, administrator: webd.Browser) -> None:
    gone = rig.cameras["cam1"].output / "gone.bin"
    gone.write_bytes(b"soon gone")
    with (
        large(rig, "first.bin") as path,
        request(
            rig.web.port,
            f"{AT}/zip?file={path.name}&file={gone.name}",
            headers=[cookie(administrator), "Connection: close"],
            receive_buffer=4096,
        ) as sock,
    ):
        assert sock.recv(12) == b"HTTP/1.1 200"
        gone.unlink()
        assert rest_of(sock) < LARGE + (64 << 10)
    waiting.until(lambda: "is not sent to its end: gone.bin" in rig.web.log(), 10, "the log to tell")
    assert "Traceback" not in rig.web.log() and "internal error" not in rig.web.log()


def test_a_download_waits_where_many_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_AGAIN_S", 0.001)
    answers: list[Any] = [Busy("later"), Busy("later"), {"size": 4, "data": b"cd"}]

    async def call(method: str, name: str, offset: int) -> Any:
        assert (method, name, offset) == ("read_file", "file", 2)
        answer = answers.pop(0)
        if isinstance(answer, Busy):
            raise answer
        return answer

    async def read(may_go_on: bool) -> bytes:
        reader = reading.Reader(cast("Link", SimpleNamespace(call=call)), lambda: may_go_on)
        return b"".join([piece async for piece in reader.pieces("file", 0, 4, {"size": 4, "data": b"ab"})])

    assert asyncio.run(read(True)) == b"abcd"
    with pytest.raises(reading.BrokenOff, match="login has ended"):
        asyncio.run(read(False))
    monkeypatch.setattr(reading, "_ROOM_WITHIN_S", 0.0)
    answers[:] = [Busy("full"), Busy("full")]
    with pytest.raises(reading.BrokenOff, match="full"):
        asyncio.run(read(True))
