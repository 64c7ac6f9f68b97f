"""camerad on a simulated camera, as a real process on a site of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import observatory
import waiting
from following import done as done
from following import events_named as events_named
from following import finished as finished
from rawclient import RawClient
from small_disk import SmallDisk
from vitals import Vitals

from observatory_common.directory import Directory
from observatory_common.errors import DaemonNotReachable
from observatory_common.rpc.client import RemoteDaemon, connect
from observatory_common.storage import write_atomic

NAME = "test_camera"
#: Small pictures as fast as the camera can: what a test needs that counts them.
FAST: dict[str, Any] = {
    "use_cases": {
        "live": {"stream": "lores", "size": [64, 36], "format": "YUV420"},
        "photo": {"stream": "main", "size": [96, 54], "format": "RGB888", "mode": 0},
        "raw": {"stream": "raw", "size": [1280, 720], "format": "SRGGB12", "mode": 0},
        "video": {"stream": "main", "size": [96, 54], "format": "RGB888", "mode": 0},
    },
    "controls": {"FrameDurationLimits": [8333, 8333]},
}


class Camerad:
    """A camerad on a site of its own: `machines` may call it, `config` is added to its config.

    `inside` runs it where a small disk is mounted; `state_home` is where its state goes (default: in `folder`).
    """

    def __init__(
        self,
        folder: Path,
        *,
        machines: Mapping[str, Any] | None = None,
        inside: SmallDisk | None = None,
        state_home: Path | None = None,
        **config: Any,
    ) -> None:
        self.folder = folder
        self.output = Path(config.get("output_path", folder / "pictures"))
        self.etc = folder / "etc"
        self.port = observatory.free_port()
        self._inside = inside
        self._state_home = state_home or folder / "state"
        faults = config.get("simulator", {}).get("faults")
        self._faults = None if faults is None else Path(faults)
        for name, content in {
            "observatory/machines.json": machines or {},
            "observatory/daemons.json": {NAME: {"machine": "LocalHost", "port": self.port}},
            "camerad/cam.json": {
                "daemon": NAME,
                "log_name": "camerad@cam",
                "control_machines": ["LocalHost"],
                "driver": "simulator",
                "output_path": str(self.output),
                "use_cases": {
                    "live": {"stream": "lores", "size": [320, 180], "format": "YUV420"},
                    "photo": {"stream": "main", "size": [640, 360], "format": "RGB888"},
                    "raw": {"stream": "raw", "size": [1280, 720], "format": "SRGGB12"},
                    "video": {"stream": "main", "size": [640, 360], "format": "RGB888"},
                },
                **config,
            },
        }.items():
            path = self.etc / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(content))
        self.config = self.etc / "camerad" / "cam.json"
        self.process: subprocess.Popen[bytes] | None = None
        self.log = folder / "log"

    def _spawn(self) -> None:
        env = {**os.environ, "OBSERVATORY_ETC": str(self.etc), "XDG_STATE_HOME": str(self._state_home)}
        # The program itself takes nsenter's place, so that signals reach it.
        prefix = [] if self._inside is None else ["nsenter", "--mount", "-t", self._inside.path.parts[2], "--"]
        with self.log.open("ab") as log:
            command = [*prefix, sys.executable, "-m", "observatory_camerad", str(self.config)]
            self.process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def start(self) -> None:
        """Start, and wait for frames."""
        self._spawn()
        with self.connect() as camera:
            waiting.until(lambda: self._state(camera) in ("idle", "acquiring"), 30, "frames")

    def _state(self, camera: RemoteDaemon) -> str | None:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return camera.report_status()["state"]
        except DaemonNotReachable:
            return None

    @property
    def state_folder(self) -> Path:
        """Where the daemon keeps its state, as it sees it."""
        return self._state_home / "observatory" / "camerad" / "cam"

    @property
    def vitals(self) -> Vitals:
        """The process as the kernel sees it."""
        return Vitals(self.process.pid)

    def fault(self, **faults: Any) -> None:
        """Have the simulated camera fail so; nothing: be well."""
        path = self._faults or self.state_folder / "simulator-faults.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, json.dumps(faults).encode())

    def run(self) -> None:
        """Start without waiting for frames, only for answers."""
        self._spawn()
        with self.connect() as camera:
            waiting.until(lambda: self._state(camera) is not None, 30, "answers")

    def connect(self) -> RemoteDaemon:
        return connect(NAME, directory=Directory.load(self.etc / "observatory"))

    def raw_client(self, source: str) -> RawClient:
        """A connection from an address of this machine, on which nothing has been said."""
        return RawClient("127.0.0.1", self.port, source=source)

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(20)

    def kill(self) -> None:
        """`kill -9`."""
        self.process.kill()
        self.process.wait(10)

    def end(self) -> None:
        """Leave no process behind, and no trace of a bug in the log; for after a test."""
        if self.process is not None and self.process.poll() is None:
            assert self.stop() == 0
        assert "Traceback" not in self.log.read_text()


def number_of(name: str) -> int:
    """camera-00000012.jpg -> 12."""
    return int(name.partition("-")[2].partition(".")[0])


def assert_whole(folder: Path) -> list[str]:
    """Every file in the folder is whole, pictures and metadata come in pairs, nothing hidden is left; the pictures' names."""
    names = sorted(path.name for path in folder.iterdir())
    assert [name for name in names if name.startswith(".")] == []
    stems = {name.split(".")[0] for name in names if name.endswith(".json")}
    pictures = [name for name in names if not name.endswith((".json", ".thumb.jpg"))]
    assert {name.split(".")[0] for name in pictures} == stems
    for stem in stems:
        assert json.loads((folder / f"{stem}.json").read_text())["SensorTimestamp"]
    for name in pictures:
        assert_picture(folder / name)
    return pictures


def assert_picture(path: Path) -> None:
    """A picture or video that can be decoded wholly."""
    if path.suffix in (".mp4", ".h264"):
        import av

        with av.open(str(path)) as container:
            assert sum(1 for _ in container.decode(video=0)) > 0, path.name
    elif path.suffix == ".fits":
        from astropy.io import fits

        with fits.open(path) as opened:
            assert opened[0].data.size > 0
            assert path.stat().st_size % 2880 == 0
    elif path.suffix == ".dng":
        import rawpy

        with rawpy.imread(str(path)) as opened_raw:
            assert opened_raw.raw_image.size > 0
    else:
        data = path.read_bytes()
        if path.suffix == ".jpg":
            assert data.endswith(b"\xff\xd9"), path.name  # a decoder forgives what is cut off
        assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) is not None, path.name
