"""Two cameras on a site of their own, as real processes, and `cam` as people run it: in pipes and on terminals."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import observatory
import terminals
import waiting

from observatory_common.directory import Directory
from observatory_common.rpc.client import RemoteDaemon, connect

NAMES = ("east", "west")
SMALL = {
    "live": {"stream": "lores", "size": [320, 180], "format": "YUV420"},
    "photo": {"stream": "main", "size": [640, 360], "format": "RGB888", "mode": 0},
    "raw": {"stream": "raw", "size": [1280, 720], "format": "SRGGB12", "mode": 0},
    "video": {"stream": "main", "size": [640, 360], "format": "RGB888", "mode": 0},
}


class Cameras:
    """The cameras east and west (or others), everything under `folder`, which is also where `cam` runs."""

    def __init__(self, folder: Path, names: tuple[str, ...] = NAMES, **config: Any) -> None:
        self.folder = folder
        self.names = names
        self.etc = folder / "etc"
        ignored = ("CAMERAD_", "OBSERVATORY_", "NO_COLOR")
        self.env = {key: value for key, value in os.environ.items() if not key.startswith(ignored)}
        self.env |= {"OBSERVATORY_ETC": str(self.etc), "XDG_STATE_HOME": str(folder / "state"), "HOME": str(folder)}
        daemons = {f"camera_{name}": {"machine": "LocalHost", "port": observatory.free_port()} for name in names}
        for name in names:
            own = {"daemon": f"camera_{name}", "log_name": name, "control_machines": ["LocalHost"], "driver": "simulator"}
            self._write(f"camerad/{name}.json", {**own, "output_path": str(self.pictures(name)), "use_cases": SMALL, **config})
        self._write("observatory/machines.json", {})
        self._write("observatory/daemons.json", daemons)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def _write(self, name: str, content: object) -> None:
        path = self.etc / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))

    def pictures(self, name: str) -> Path:
        """Where a camera's files are."""
        return self.folder / "pictures" / name

    def start(self) -> Cameras:
        """Start all, and wait for frames."""
        for name in self.names:
            self.launch(name)
        for name in self.names:
            waiting.until(lambda n=name: self.state(n) == "idle", 30, f"the camera {name}")
        return self

    def launch(self, name: str) -> None:
        """Start one, and wait for nothing."""
        command = [sys.executable, "-m", "observatory_camerad", str(self.etc / "camerad" / f"{name}.json")]
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(command, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.processes[name] = process

    def connect(self, name: str) -> RemoteDaemon:
        """A client."""
        return connect(f"camera_{name}", directory=Directory.load(self.etc / "observatory"))

    def state(self, name: str) -> str | None:
        """The state in the status; None without an answer."""
        done = self.cam(name, "json")
        return json.loads(done.stdout)["state"] if done.returncode == 0 else None

    def close(self) -> None:
        """End all that run; each must end well."""
        for process in self.processes.values():
            process.terminate()
        assert {process.wait(20) for process in self.processes.values()} <= {0}

    def cam(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run `cam` to its end."""
        command = [sys.executable, "-m", "observatory_cli.cam", *arguments]
        return subprocess.run(
            command, env={**self.env, **env}, capture_output=True, text=True, timeout=60, check=False, cwd=self.folder
        )

    def bytes_of(self, *arguments: str) -> bytes:
        """What `cam` writes to its standard output, when it succeeds in silence."""
        command = [sys.executable, "-m", "observatory_cli.cam", *arguments]
        done = subprocess.run(command, env=self.env, capture_output=True, timeout=60, check=True, cwd=self.folder)
        assert done.stderr == b""
        return done.stdout

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `cam`."""
        command = [sys.executable, "-m", "observatory_cli.cam", *arguments]
        return subprocess.Popen(
            command, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.folder
        )

    def complete(self, *words: str) -> list[str]:
        """What the completion offers for the last of the words, in order."""
        env = {"COMP_WORDS": " ".join(["cam", *words]), "COMP_CWORD": str(len(words)), "_CAM_COMPLETE": "bash_complete"}
        return [line.partition(",")[2] for line in self.cam(**env).stdout.splitlines() if line]


class Terminal(terminals.Terminal):
    """`cam` on a pseudo-terminal."""

    def __init__(self, cameras: Cameras, *arguments: str, **env: str) -> None:
        super().__init__("observatory_cli.cam", arguments, cameras.env, cameras.folder, **env)
