"""What the camera's benchmarks share: the measured settings, a viewer, the bare camera."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import waiting
from cameras import Camerad

import observatory_common
from observatory_common.errors import ObservatoryError

PACE_FPS = 30.0
_SITE = Path(observatory_common.__file__).with_name("site") / "camerad" / "cam1.json"
_ITS_OWN = ("daemon", "log_name", "control_machines")  # the test site has these


def settings(frames_per_s: float = PACE_FPS, **changes: Any) -> dict[str, Any]:
    """Those of the packaged site's first camera (1280x720 RGB888) at a fixed pace, and without its focuser."""
    document = json.loads(_SITE.read_text())
    kept = {name: value for name, value in document.items() if name not in (*_ITS_OWN, "simulator")}
    return {**kept, "controls": paced(frames_per_s), **changes}


def paced(frames_per_s: float) -> dict[str, Any]:
    """The control that fixes the rate."""
    return {"FrameDurationLimits": [round(1e6 / frames_per_s)] * 2}


@contextmanager
def camerad(folder: Path, **config: Any) -> Iterator[Camerad]:
    """A daemon with the measured settings, which delivers frames, for as long as the context lasts."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Camerad(folder, **(config or settings()))
    try:
        made.start()
        yield made
    finally:
        made.stop()


class Bare:
    """The bare camera as a process; `first_s` is what it took from opening the driver to the first JPEG."""

    def __init__(self, config: Path) -> None:
        program = Path(__file__).with_name("bare_camera.py")
        command = [sys.executable, str(program), str(config)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self._process.pid
        self.first_s: float = self._answer()["took_s"]

    def ask(self, line: str) -> dict[str, Any]:
        """Have it do something."""
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """End it."""
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()

    def _answer(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


@contextmanager
def bare(config: Path) -> Iterator[Bare]:
    """The bare camera, for as long as the context lasts."""
    made = Bare(config)
    try:
        yield made
    finally:
        made.close()


@dataclass(frozen=True)
class Seen:
    """A frame as it came to a viewer: its number, when it came and when its exposure ended, on the boot clock."""

    number: int
    came_s: float
    exposed_s: float


class Viewer:
    """Takes every frame of the live stream, in a thread of its own, for as long as the context lasts."""

    def __init__(self, camera: Camerad) -> None:
        self._camera = camera
        self._seen: list[Seen] = []
        self._closing = threading.Event()
        self._failed: ObservatoryError | AssertionError | None = None
        self._thread = threading.Thread(target=self._run, name="viewer")

    def __enter__(self) -> Viewer:
        self._thread.start()
        try:
            waiting.until(lambda: self.count, 10, "the first frame")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join(5)

    @property
    def count(self) -> int:
        """How many frames have come."""
        if self._failed is not None:
            raise self._failed
        return len(self._seen)

    def since(self, count: int = 0) -> list[Seen]:
        """The frames from one on."""
        return self._seen[count:]

    def _run(self) -> None:
        boot_id, number = None, 0
        try:
            with self._camera.connect() as connected:
                while not self._closing.is_set():
                    answer = connected.frame("live", boot_id, number, 2.0)
                    assert answer["number"] is not None, "no frame for 2 s"
                    boot_id, number = answer["boot_id"], answer["number"]
                    came_s = time.clock_gettime(time.CLOCK_BOOTTIME)
                    self._seen.append(Seen(number, came_s, answer["metadata"]["SensorTimestamp_us"] / 1e6))
        except (ObservatoryError, AssertionError) as error:
            self._failed = error


def rate(seen: list[Seen]) -> float:
    """Frames per second."""
    return (len(seen) - 1) / (seen[-1].came_s - seen[0].came_s)
