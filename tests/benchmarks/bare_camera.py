"""A camera's driver and nothing above it: frames at their pace, encoded or not, photos when asked. The baseline.

`python bare_camera.py CONFIG` opens the simulated camera of a camerad config. It prints a line of JSON when its first
JPEG is made, and one for each line it reads: `encode`, `rest`, `count`, `photo FILE`. It ends with its input.
"""

from __future__ import annotations

import json
import queue
import sys
import threading
import time
from pathlib import Path
from typing import Any

from observatory_camerad import config as camerad_config
from observatory_camerad.acquisition.use_cases import standing
from observatory_camerad.drivers.base import Request
from observatory_camerad.simulator.camera import SimulatedCamera, SimulatedOptics
from observatory_common.config import read_document
from observatory_common.directory import Directory


class BareCamera:
    """One thread that takes every frame of the driver."""

    def __init__(self, config: camerad_config.CameradConfig) -> None:
        simulator = config.simulator
        self.frames = 0
        self.encoding = False
        self.driver = SimulatedCamera(simulator.scene, simulator.sensor, SimulatedOptics(simulator.scene.seeing_sigma_pixels))
        self._config = config
        self._wanted: queue.Queue[tuple[Path, threading.Event]] = queue.Queue()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bare-camera")

    def first(self) -> float:
        """Open the camera and encode its first frame; the seconds that it took."""
        began = time.monotonic()
        self.driver.open()
        self.driver.configure(standing(self._config.use_cases, self._config.transform))
        self.driver.set_controls(self._config.controls)
        request = self._next()
        self._jpeg(request)
        took_s = time.monotonic() - began
        request.release()
        self._thread.start()
        return took_s

    def photo(self, path: Path) -> float:
        """Write the next frame as a JPEG; the seconds until the file is there (not until it is safe on the disk)."""
        began, done = time.monotonic(), threading.Event()
        self._wanted.put((path, done))
        done.wait(10)
        return time.monotonic() - began

    def close(self) -> None:
        """End the thread."""
        self._closing.set()
        self._thread.join(5)
        self.driver.close()

    def _run(self) -> None:
        while not self._closing.is_set():
            request = self._next()
            self.frames += 1
            try:
                path, done = self._wanted.get_nowait()
            except queue.Empty:
                if self.encoding:
                    self._jpeg(request)
            else:
                path.write_bytes(self._jpeg(request))
                done.set()
            request.release()

    def _next(self) -> Request:
        request = self.driver.next_request(5.0)
        assert request is not None
        return request

    def _jpeg(self, request: Request) -> bytes:
        import cv2

        _, data = cv2.imencode(".jpg", request.array("main"), [cv2.IMWRITE_JPEG_QUALITY, 90])
        return bytes(data)


def answers(camera: BareCamera, command: str) -> dict[str, Any]:
    """Do what a line says."""
    word, _, rest = command.partition(" ")
    if word == "photo":
        return {"took_s": camera.photo(Path(rest))}
    if word != "count":
        camera.encoding = word == "encode"
    return {"frames": camera.frames}


if __name__ == "__main__":
    made = BareCamera(camerad_config.parse(read_document(Path(sys.argv[1])), Directory({}, {})))
    print(json.dumps({"took_s": made.first()}), flush=True)
    for line in sys.stdin:
        print(json.dumps(answers(made, line.strip())), flush=True)
    made.close()
