"""Those who look: many, slow, silent, not allowed to, and what a good viewer sees meanwhile."""

from __future__ import annotations

import bisect
import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
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
ROUNDS = 3  # of a look alone and a look in the crowd: others may have the machine in one of them
DENIED = int(CommandStatus.InvalidControlIP)


@pytest.fixture
def camerad(tmp_path: Path) -> Iterator[Camerad]:
    running = Camerad(tmp_path, machines=MACHINES, view_machines=["LocalHost", "Wall", "Door"])
    running.start()
    yield running
    running.end()


@dataclass
class Seen:
    """What a viewer saw: arrivals on the monotonic clock, each frame's age then, and what the daemon had waited."""

    at_s: list[float]
    ages_s: list[float]
    waited_s: list[float]

    @property
    def rate(self) -> float:
        """Frames per second."""
        return (len(self.at_s) - 1) / (self.at_s[-1] - self.at_s[0])

    @property
    def worst_gap_s(self) -> float:
        """The longest time without a frame, less what the daemon waited for a processor meanwhile."""
        return max(
            self.at_s[after] - self.at_s[before] - self._without_s(before, after)
            for before, after in itertools.pairwise(range(len(self.at_s)))
        )

    @property
    def worst_age_s(self) -> float:
        """The age of the oldest frame, less what the daemon waited for a processor since the frame before it came."""
        late_s = []
        for number, (at_s, age_s) in enumerate(zip(self.at_s, self.ages_s, strict=True)):
            before = max(bisect.bisect_right(self.at_s, at_s - age_s) - 1, 0)
            late_s.append(age_s - self._without_s(before, number))
        return max(late_s)

    def _without_s(self, before: int, after: int) -> float:
        return max(self.waited_s[after] - self.waited_s[before], 0.0)  # a thread that ends takes its share along


class Viewer:
    """A good viewer, who looks at the live view all the time, over one connection, and at `waited_s` at each frame."""

    def __init__(self, camerad: Camerad, waited_s: Callable[[], float] = lambda: 0.0) -> None:
        self._camerad = camerad
        self._waited_s = waited_s
        self._frames: list[tuple[float, float, float]] = []  # arrival, age, waited by then
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
                at_s, age_s = time.monotonic(), time.time() - latest["metadata"]["FrameWallClock_us"] / 1e6
                self._frames.append((at_s, age_s, self._waited_s()))
                boot_id, number = latest["boot_id"], latest["number"]

    def next(self, seconds: float, meanwhile: Callable[[], object] = lambda: None) -> Seen:
        """What it sees in the next `seconds`, and as long as `meanwhile` takes."""
        first, until = len(self._frames), time.monotonic() + seconds
        meanwhile()
        waiting.until(lambda: time.monotonic() > until or self._looking.done(), seconds + 1, "time to pass")
        seen = self._frames[first:]
        assert len(seen) > 2 and not self._looking.done(), seen
        return Seen(*map(list, zip(*seen, strict=True)))


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


def assert_unchanged(before: list[Seen], after: list[Seen], lag_s: float) -> None:
    """The middle one of each is compared, the worst gap is that of all."""
    rate_before, rate_after = (median(seen.rate for seen in all_seen) for all_seen in (before, after))
    gap_before_s, gap_after_s = (max(seen.worst_gap_s for seen in all_seen) for all_seen in (before, after))
    print(f"frames/s {rate_before:.2f} -> {rate_after:.2f}, worst gap {gap_before_s:.3f} -> {gap_after_s:.3f} s")
    lasted_s = median(seen.at_s[-1] - seen.at_s[0] for seen in after)
    assert rate_after > rate_before * 0.9 * (1 - min(lag_s / lasted_s, 0.5))
    assert gap_after_s < GAP_S + lag_s


def test_200_silent_viewers_cost_a_good_one_nothing(camerad: Camerad, machine_lag) -> None:
    target = attacks.Target("127.0.0.1", camerad.port, NAME)
    before, after = [], []
    with Viewer(camerad) as viewer, camerad.connect() as camera:
        assert camera.report_status()  # connected before there is a crowd
        files = camerad.vitals.open_files()
        for _ in range(ROUNDS):
            waiting.until(lambda: camerad.vitals.open_files() < files + 20, 10, "the crowd of before to have gone")
            before.append(viewer.next(2))
            with ExitStack() as stack:
                crowds = [stack.enter_context(attacks.silent(target, 100, source)) for source in (WALL, DOOR)]
                assert sum(map(len, crowds)) == 200
                after.append(viewer.next(2, lambda: [done(camera, camera.take_photo()) for _ in range(5)]))
        assert_unchanged(before, after, machine_lag.seconds)
    with camerad.connect() as newcomer:  # when they are gone, everybody may come again
        waiting.until(lambda: _answers(newcomer), 10, "an answer")


def _answers(camera: RemoteDaemon) -> bool:
    try:
        return bool(camera.report_status())
    except DaemonNotReachable:
        return False


def test_20_slow_viewers_cost_a_good_one_nothing(camerad: Camerad, machine_lag) -> None:
    before, after, threads = [], [], 0
    with camerad.connect() as camera, Viewer(camerad) as viewer:
        for _ in range(ROUNDS):
            camera.frame("main")  # it is encoded from now on
            before.append(viewer.next(2))
            threads = threads or camerad.vitals.threads()
            with SlowViewers(camerad, 20) as slow:
                after.append(viewer.next(2.5, lambda: [done(camera, camera.take_photo()) for _ in range(5)]))
                assert 0 < slow.read_bytes < 10 * 10_000 * 30
                assert camerad.vitals.threads() >= threads + 16  # a few threads of the pool were idle before
            waiting.until(lambda most=threads + 4: camerad.vitals.threads() <= most, 10, "their threads to end")
        assert_unchanged(before, after, machine_lag.seconds)


def test_photos_raw_and_metadata_beside_the_live_view_leave_no_gap(camerad: Camerad, machine_lag) -> None:
    stopped = threading.Event()

    def photos() -> None:
        for number in range(50):
            done(camera, camera.take_photo("jpg", ("fits", "dng")[number % 2]))

    looking = Viewer(camerad, camerad.vitals.waited_s)
    with camerad.connect() as camera, looking as viewer, ThreadPoolExecutor(1) as aside:
        gap_s = camera.report_status()["reconfiguration_gap_s"]
        asking = aside.submit(_ask_for_metadata, camerad, stopped)
        try:
            seen = viewer.next(1, photos)
        finally:
            stopped.set()
        assert asking.result() > 50
        assert camera.report_status()["reconfiguration_gap_s"] == gap_s  # all of it was merged
    print(f"{seen.rate:.1f} frames/s, worst gap {seen.worst_gap_s:.3f} s, oldest frame {seen.worst_age_s:.3f} s")
    assert seen.worst_gap_s < GAP_S + machine_lag.seconds
    assert seen.worst_age_s < GAP_S + machine_lag.seconds
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
