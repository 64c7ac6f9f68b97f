"""`cam snapshot`, `files`, `get`, `delete`: what arrives is whole, or nothing is there."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest
import waiting
from cam import Cameras, Terminal

from observatory_cli.cam import file_commands
from observatory_cli.cam.downloads import fetch, writing
from observatory_cli.cam.group import is_here
from observatory_common.errors import CommandFailed, NotConnected, TimedOut


@pytest.fixture(scope="module")
def cameras(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cameras]:
    running = Cameras(tmp_path_factory.mktemp("cameras"))
    running.start()
    yield running
    running.close()


def large_file(cameras: Cameras, size: int) -> str:
    """A file of the camera east that takes its time to be fetched (nothing but zeros)."""
    with (cameras.pictures("east") / "large.bin").open("wb") as file:
        file.truncate(size)
    return "large.bin"


def test_a_snapshot_is_a_picture_of_the_live_stream(cameras: Cameras) -> None:
    done = cameras.cam("east", "snapshot", "live.jpg")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert cv2.imread(str(cameras.folder / "live.jpg")).shape == (180, 320, 3)
    assert cameras.cam("east", "snapshot", "--stream", "photo", "live.jpg").returncode == 0
    assert cv2.imread(str(cameras.folder / "live.jpg")).shape == (360, 640, 3)
    data = cameras.bytes_of("east", "snapshot", "-")
    assert data.startswith(b"\xff\xd8") and data.endswith(b"\xff\xd9")
    said = json.loads(cameras.cam("east", "snapshot", "live.jpg", "--json").stdout)
    assert (said["file"], said["stream"], said["size"]) == ("live.jpg", "live", (cameras.folder / "live.jpg").stat().st_size)
    assert cameras.cam("east", "snapshot", "--stream", "raw", "x.jpg").returncode == 45
    assert cameras.cam("east", "snapshot", "/nonexistent/x.jpg").returncode == 1
    terminal = Terminal(cameras, "east", "snapshot", "-")
    assert terminal.end() == 64
    assert "is not for a terminal" in terminal.output


class _Slow:
    """A camera whose frames take their time, on a clock of its own."""

    def __init__(self, now: list[float], frame_at_s: float, **status: Any) -> None:
        self._now, self._frame_at_s = now, frame_at_s
        self._status = {"state": "idle", "last_error": None, "exposure_time": None, **status}

    def report_status(self) -> dict[str, Any]:
        return self._status

    def controls(self) -> dict[str, Any]:
        return {"ExposureTime": {"value": 30_000_000}}

    def frame(self, stream: str, boot_id: None, newer_than: int, timeout_s: float) -> dict[str, Any]:
        assert 0 <= timeout_s <= 10
        self._now[0] = min(self._now[0] + timeout_s, max(self._frame_at_s, self._now[0]))
        return {"number": 1 if self._now[0] >= self._frame_at_s else None}


@pytest.mark.parametrize(
    ("exposure_s", "timeout_s", "frame_at_s", "allowed_s"),
    [
        (60, None, 65, None),
        (60, None, 99, 70),
        (None, None, 35, None),
        (None, None, 99, 40),
        (60, 15, 20, 15),
        (0.1, None, 3, None),
    ],
)
def test_a_snapshot_waits_for_a_long_exposure(
    exposure_s: float | None,
    timeout_s: float | None,
    frame_at_s: float,
    allowed_s: float | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(file_commands, "monotonic", lambda: now[0])
    camera = _Slow(now, frame_at_s, exposure_time=exposure_s)
    if allowed_s is None:
        assert file_commands.next_frame(camera, "live", timeout_s)["number"] == 1
        assert now[0] == frame_at_s
    else:
        with pytest.raises(TimedOut, match=f"no frame within {allowed_s:g} s"):
            file_commands.next_frame(camera, "live", timeout_s)
        assert now[0] == allowed_s


@pytest.mark.parametrize("state", ["offline", "initializing"])
def test_a_snapshot_of_a_camera_that_is_not_there_says_so_at_once(state: str) -> None:
    camera = _Slow([0.0], 5, state=state, last_error="unplugged")
    with pytest.raises(NotConnected, match=f"the camera is {state}: unplugged"):
        file_commands.next_frame(camera, "live", None)


def test_what_is_fetched_is_what_the_daemon_has(cameras: Cameras) -> None:
    name = cameras.cam("east", "photo", "--raw").stdout.strip()
    kept = (cameras.pictures("east") / name).read_bytes()
    assert len(kept) > 1 << 20  # several pieces
    assert cameras.cam("east", "get", name).returncode == 0
    assert (cameras.folder / name).read_bytes() == kept
    (cameras.folder / "into").mkdir()
    said = json.loads(cameras.cam("east", "get", name, "into", "--json").stdout)
    assert said == {"name": name, "file": f"into/{name}", "size": len(kept), "sha256": hashlib.sha256(kept).hexdigest()}
    assert (cameras.folder / "into" / name).read_bytes() == kept
    assert cameras.bytes_of("east", "get", name, "-") == kept
    listed = cameras.cam("east", "files").stdout
    assert re.search(rf"^\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ +{len(kept)} {name}$", listed, re.MULTILINE)
    names = [json.loads(line)["name"] for line in cameras.cam("east", "files", "--json").stdout.splitlines()]
    assert {name, name.replace(".fits", ".json")} <= set(names)
    assert name not in cameras.cam("west", "files").stdout
    assert name in cameras.complete("east", "get", "camera")
    for wrong in ("../../etc/passwd", "/etc/passwd", "nothing.jpg", ""):
        refused = cameras.cam("east", "get", wrong, "x")
        assert (refused.returncode, refused.stdout) == (45, ""), wrong
    assert not (cameras.folder / "x").exists()


def test_files_are_deleted_with_what_belongs_to_them(cameras: Cameras) -> None:
    names = cameras.cam("west", "photo", "--count", "2").stdout.split()
    refused = cameras.cam("west", "delete", names[0], "nothing.jpg")
    assert refused.returncode == 45
    assert names[0] in cameras.cam("west", "files").stdout
    assert cameras.cam("west", "delete", *names).stdout == ""
    assert cameras.cam("west", "files").stdout == ""
    name = cameras.cam("west", "photo").stdout.strip()
    deleted = json.loads(cameras.cam("west", "delete", name, "--json").stdout)["deleted"]
    assert set(deleted) == {name, name.replace(".jpg", ".json")}


def test_a_bar_for_a_long_download(cameras: Cameras) -> None:
    name = large_file(cameras, 2 << 30)
    terminal = Terminal(cameras, "east", "get", name, "/dev/null")
    terminal.see(r"large\.bin .*\d+\.\d / 2147\.5 MB")
    terminal.type("\x03")
    assert terminal.end() == 156
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_ctrl_c_leaves_neither_half_a_file_nor_another_than_before(cameras: Cameras) -> None:
    name = large_file(cameras, 2 << 30)
    target = cameras.folder / "before.bin"
    target.write_bytes(b"as before")
    getter = cameras.begin("east", "get", name, "before.bin")

    def under_way() -> bool:
        return any(part.stat().st_size for part in cameras.folder.glob(".cam-*.part"))

    waiting.until(under_way, 20, "the first piece")
    getter.send_signal(signal.SIGINT)
    assert getter.communicate(timeout=20) == ("", "\n")
    assert getter.returncode == 156
    assert target.read_bytes() == b"as before"
    assert list(cameras.folder.glob(".cam-*")) == []


class _Sender:
    """A camera whose file is damaged on its way, or ends too early."""

    def __init__(self, **last: Any) -> None:
        self._last = {"eof": True, "sha256": hashlib.sha256(b"abc").hexdigest(), "data": b"abc", "size": 3, **last}

    def read_file(self, name: str, offset: int) -> dict[str, Any]:
        return self._last


def test_what_has_arrived_damaged_is_not_kept(tmp_path: Path) -> None:
    target = tmp_path / "picture.jpg"
    assert fetch(_Sender(), "picture.jpg", tmp_path)["size"] == 3
    for sender in (_Sender(data=b"abd"), _Sender(sha256="0" * 64), _Sender(data=b"", eof=False)):
        with pytest.raises(CommandFailed):
            fetch(sender, "picture.jpg", target)
        assert target.read_bytes() == b"abc"
    assert [path.name for path in tmp_path.iterdir()] == ["picture.jpg"]


def test_a_link_stays_a_link_and_the_mode_is_the_users(tmp_path: Path) -> None:
    target, link = tmp_path / "real.jpg", tmp_path / "link.jpg"
    link.symlink_to(target)
    before = os.umask(0o027)
    try:
        fetch(_Sender(), "picture.jpg", link)
    finally:
        os.umask(before)
    assert link.is_symlink()
    assert target.read_bytes() == b"abc"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="cannot be written: No space left on device"), writing(Path("/dev/full")) as file:
        file.write(b"abc" * 10_000)
    with pytest.raises(CommandFailed, match="cannot be written"), writing(tmp_path / "x" / "y.jpg"):
        pass


def test_which_addresses_are_this_machines() -> None:
    assert all(is_here(host) for host in ("127.0.0.1", "127.0.0.77", "localhost"))
    assert not any(is_here(host) for host in ("192.0.2.1", "2001:db8::1", "camera.invalid"))


def test_a_photo_on_another_machine_is_said_to_be_there(tmp_path: Path) -> None:
    """Over an ethernet between two network namespaces."""
    program = Path(__file__).parents[1] / "support" / "cam_elsewhere.py"
    probe = subprocess.run(["unshare", "--net", "true"], capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        pytest.skip("needs network namespaces (unshare --net), which this machine does not allow")
    done = subprocess.run(
        ["unshare", "--net", sys.executable, program, tmp_path],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    name = said["photo"][1].strip()
    folder = tmp_path / "pictures" / "far"
    assert said["photo"][0] == 0
    assert said["photo"][2] == f"{name} is in {folder} on Dome (10.78.0.1); `cam get {name}` fetches it\n"
    assert said["fetched"][0] == 0 and said["fetched"][2] == ""
    assert (tmp_path / "here.jpg").read_bytes() == (folder / said["fetched"][1].strip()).read_bytes()
