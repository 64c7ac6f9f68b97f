"""camerad on a simulated camera, as a real process on a site of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import observatory
import waiting

from observatory_common.directory import Directory
from observatory_common.errors import DaemonNotReachable
from observatory_common.rpc.client import RemoteDaemon, connect
from observatory_common.storage import write_atomic

NAME = "test_camera"


class Camerad:
    """A camerad on a site of its own."""

    def __init__(self, folder: Path, **config: Any) -> None:
        self.folder = folder
        self.output = folder / "pictures"
        self.etc = folder / "etc"
        self.port = observatory.free_port()
        for name, content in {
            "observatory/machines.json": {},
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
        env = {**os.environ, "OBSERVATORY_ETC": str(self.etc), "XDG_STATE_HOME": str(self.folder / "state")}
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "observatory_camerad", str(self.config)]
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
        """Where the daemon keeps its state."""
        return self.folder / "state" / "observatory" / "camerad" / "cam"

    def fault(self, **faults: Any) -> None:
        """Have the simulated camera fail so; nothing: be well."""
        self.state_folder.mkdir(parents=True, exist_ok=True)
        write_atomic(self.state_folder / "simulator-faults.json", json.dumps(faults).encode())

    def run(self) -> None:
        """Start without waiting for frames, only for answers."""
        self._spawn()
        with self.connect() as camera:
            waiting.until(lambda: self._state(camera) is not None, 30, "answers")

    def connect(self) -> RemoteDaemon:
        return connect(NAME, directory=Directory.load(self.etc / "observatory"))

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(20)
