"""Those who look: many, slow, silent, not allowed to, and what a good viewer sees meanwhile."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import attacks
import msgpack
import pytest
import waiting
from cameras import NAME, Camerad, assert_whole, done
from rawclient import CONNECT_FAIL, CONNECT_OK, INVOKE, RawClient, frame, outcomes

from observatory_common.errors import CommandStatus, DaemonNotReachable
from observatory_common.rpc.client import RemoteDaemon

WALL, DOOR, STRANGER = "127.0.0.3", "127.0.0.4", "127.0.0.66"
MACHINES = {"Wall": WALL, "Door": DOOR}
GAP_S = 0.25
DENIED = int(CommandStatus.InvalidControlIP)


@pytest.fixture
def camerad(tmp_path: Path) -> Iterator[Camerad]:
    running = Camerad(tmp_path, machines=MACHINES, view_machines=["LocalHost", "Wall", "Door"])
    running.start()
    yield running
    running.end()


@dataclass
class Seen:
    """What a viewer saw: arrivals on the monotonic clock, and how old each frame was then, in seconds."""

    at_s: list[float]
    ages_s: list[float]

    @property
    def rate(self) -> float:
        """Frames per second."""
        return (len(self.at_s) - 1) / (self.at_s[-1] - self.at_s[0])

    @property
    def worst_gap_s(self) -> float:
        """The longest time without a frame."""
        return max(after - before for before, after in itertools.pairwise(self.at_s))


class Viewer:
    """A good viewer, who looks at the live view all the time, over one connection."""

    def __init__(self, camerad: Camerad) -> None:
        self._camerad = camerad
        self._frames: list[tuple[float, float]] = []  # arrival, age
        self._stopped = threading.Event()
        self._aside = ThreadPoolExecutor(1)

    def __enter__(self) -> Viewer:
        self._looking = self._aside.submit(self._look)
        waiting.until(lambda: len(self._frames) > 5 or self._looking.done(), 10, "the live view")
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._aside.shutdown()
        self._looking.result()

    def _look(self) -> None:
        with self._camerad.connect() as camera:
            boot_id, number = None, 0
            while not self._stopped.is_set():
                latest = camera.frame("live", boot_id, number, 5.0)
                self._frames.append((time.monotonic(), time.time() - latest["metadata"]["FrameWallClock_us"] / 1e6))
                boot_id, number = latest["boot_id"], latest["number"]

    def next(self, seconds: float, meanwhile: Callable[[], object] = lambda: None) -> Seen:
        """What it sees in the next `seconds`, and as long as `meanwhile` takes."""
        first, until = len(self._frames), time.monotonic() + seconds
        meanwhile()
        waiting.until(lambda: time.monotonic() > until or self._looking.done(), seconds + 1, "time to pass")
        seen = self._frames[first:]
        assert len(seen) > 2 and not self._looking.done(), seen
        return Seen([at_s for at_s, _ in seen], [age_s for _, age_s in seen])


class SlowViewers:
    """Viewers that have shaken hands and asked for many frames: half of them read 10 kB/s, the others nothing."""

    def __init__(self, camerad: Camerad, count: int) -> None:
        self._clients: list[RawClient] = []
        self._readers = count // 2
        self.read_bytes = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._read, name="slow-viewers")
        request = msgpack.packb((NAME, "frame", ["main", None, 0, 5.0], {}))
        for number in range(count):
            client = camerad.raw_client(WALL if number % 2 else DOOR)
            self._clients.append(client)
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            assert client.connect(NAME).type == CONNECT_OK
            for seq in range(200):  # more than fits into the sockets' buffers
                client.send(frame(INVOKE, request, seq=seq))

    def _read(self) -> None:
        while not self._stopped.wait(0.1):
            for client in self._clients[: self._readers]:
                client.sock.settimeout(0.001)
                with suppress(OSError):
                    self.read_bytes += len(client.sock.recv(1000))

    def __enter__(self) -> SlowViewers:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join(5)
        for client in self._clients:
            client.close()


def assert_unchanged(before: Seen, after: Seen, lag_s: float) -> None:
    print(f"frames/s {before.rate:.2f} -> {after.rate:.2f}, worst gap {before.worst_gap_s:.3f} -> {after.worst_gap_s:.3f} s")
    lasted_s = after.at_s[-1] - after.at_s[0]
    assert after.rate > before.rate * 0.9 * (1 - min(lag_s / lasted_s, 0.5))
    assert after.worst_gap_s < GAP_S + lag_s


def test_200_silent_viewers_cost_a_good_one_nothing(camerad: Camerad, machine_lag) -> None:
    target = attacks.Target("127.0.0.1", camerad.port, NAME)
    with Viewer(camerad) as viewer, camerad.connect() as camera, ExitStack() as stack:
        assert camera.report_status()  # connected before there is a crowd
        before = viewer.next(2)
        sockets = [sock for source in (WALL, DOOR) for sock in stack.enter_context(attacks.silent(target, 100, source))]
        assert len(sockets) == 200
        after = viewer.next(2, lambda: [done(camera, camera.take_photo()) for _ in range(5)])
        assert_unchanged(before, after, machine_lag.seconds)
    with camerad.connect() as newcomer:  # when they are gone, everybody may come again
        waiting.until(lambda: _answers(newcomer), 10, "an answer")


def _answers(camera: RemoteDaemon) -> bool:
    try:
        return bool(camera.report_status())
    except DaemonNotReachable:
        return False


def test_20_slow_viewers_cost_a_good_one_nothing(camerad: Camerad, machine_lag) -> None:
    with camerad.connect() as camera, Viewer(camerad) as viewer:
        camera.frame("main")  # it is encoded from now on
        before = viewer.next(2)
        threads = camerad.vitals.threads()
        with SlowViewers(camerad, 20) as slow:
            after = viewer.next(2.5, lambda: [done(camera, camera.take_photo()) for _ in range(5)])
            assert_unchanged(before, after, machine_lag.seconds)
            assert 0 < slow.read_bytes < 10 * 10_000 * 30
            assert camerad.vitals.threads() >= threads + 16  # a few threads of the pool were idle before
        waiting.until(lambda: camerad.vitals.threads() <= threads + 4, 10, "their threads to end")


def test_photos_raw_and_metadata_beside_the_live_view_leave_no_gap(camerad: Camerad, machine_lag) -> None:
    stopped = threading.Event()

    def photos() -> None:
        for number in range(50):
            done(camera, camera.take_photo("jpg", ("fits", "dng")[number % 2]))

    with camerad.connect() as camera, Viewer(camerad) as viewer, ThreadPoolExecutor(1) as aside:
        gap_s = camera.report_status()["reconfiguration_gap_s"]
        asking = aside.submit(_ask_for_metadata, camerad, stopped)
        try:
            seen = viewer.next(1, photos)
        finally:
            stopped.set()
        assert asking.result() > 50
        assert camera.report_status()["reconfiguration_gap_s"] == gap_s  # all of it was merged
    print(f"{seen.rate:.1f} frames/s, worst gap {seen.worst_gap_s:.3f} s, oldest frame {max(seen.ages_s):.3f} s")
    assert seen.worst_gap_s < GAP_S + machine_lag.seconds
    assert max(seen.ages_s) < GAP_S + machine_lag.seconds
    assert len(assert_whole(camerad.output)) == 100


def _ask_for_metadata(camerad: Camerad, stopped: threading.Event) -> int:
    answers = 0
    with camerad.connect() as camera:
        while not stopped.wait(0.01):
            assert camera.metadata()["ExposureTime"] > 0
            assert camera.report_status()["state"] == "idle"
            answers += 1
    return answers


# who may look

LOOKING: list[list[Any]] = [
    ["call", "report_status", []],
    ["call", "frame", ["live", None, 0, 5.0]],
    ["call", "packets", ["live", None, 0, 0.0]],
    ["call", "files", []],
    ["call", "events", [None, 0, 0]],
    ["batch", "report_status", []],
]
CHANGING: list[list[Any]] = [
    ["call", "take_photo", []],
    ["call", "set_controls", [{"Brightness": 0.5}]],
    ["call", "start_sequence", [1]],
    ["call", "delete_files", [["camera-00000001.jpg"]]],
    ["batch", "take_photo", []],
]


def test_who_may_only_look_may_not_change_anything(camerad: Camerad) -> None:
    assert outcomes("127.0.0.1", camerad.port, NAME, LOOKING, source=WALL) == ["ok"] * len(LOOKING)
    assert outcomes("127.0.0.1", camerad.port, NAME, CHANGING, source=WALL) == [DENIED] * len(CHANGING)
    assert outcomes("127.0.0.1", camerad.port, NAME, LOOKING, source=STRANGER) == ["connect", DENIED]
    with camerad.connect() as camera:
        assert camera.files() == [] and camera.settings()["changed"] is False


def test_pictures_are_private_unless_somebody_may_view(tmp_path: Path) -> None:
    running = Camerad(tmp_path, machines=MACHINES, control_machines=["LocalHost", "Door"])
    running.start()
    try:
        for source in (WALL, STRANGER):
            with running.raw_client(source) as client:
                refused = client.connect(NAME)
                assert (refused.type, refused.code) == (CONNECT_FAIL, DENIED)
                assert "InvalidControlIP" in refused.value and source in refused.value
        assert outcomes("127.0.0.1", running.port, NAME, [*LOOKING, CHANGING[1]], source=DOOR) == ["ok"] * (len(LOOKING) + 1)
    finally:
        running.end()
