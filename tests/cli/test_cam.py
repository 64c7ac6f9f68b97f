"""`cam` as its users run it, on two cameras."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import observatory
import pytest
import waiting


class Cameras:
    """Two cameras on a site of their own, and `cam`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.etc = folder / "etc"
        self.env = {key: value for key, value in os.environ.items() if not key.startswith(("CAMERAD_", "OBSERVATORY_"))}
        self.env |= {"OBSERVATORY_ETC": str(self.etc), "XDG_STATE_HOME": str(folder / "state"), "HOME": str(folder)}
        daemons = {}
        for name in ("east", "west"):
            daemons[f"camera_{name}"] = {"machine": "LocalHost", "port": observatory.free_port()}
            config = {"daemon": f"camera_{name}", "log_name": name, "control_machines": ["LocalHost"], "driver": "simulator"}
            self._write(f"camerad/{name}.json", config)
        self._write("observatory/machines.json", {})
        self._write("observatory/daemons.json", daemons)
        self.processes: list[subprocess.Popen[bytes]] = []

    def _write(self, name: str, content: object) -> None:
        path = self.etc / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            for name in ("east", "west"):
                command = [sys.executable, "-m", "observatory_camerad", str(self.etc / "camerad" / f"{name}.json")]
                self.processes.append(subprocess.Popen(command, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log))
        for name in ("east", "west"):
            waiting.until(lambda n=name: "IDLE" in self.cam(n, "status").stdout, 30, f"the camera {name}")

    def cam(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "observatory_cli.cam", *arguments]
        return subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=60, check=False, cwd=self.folder)

    def close(self) -> None:
        for process in self.processes:
            process.terminate()
        assert [process.wait(20) for process in self.processes] == [0, 0]


@pytest.fixture(scope="module")
def cameras(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cameras]:
    running = Cameras(tmp_path_factory.mktemp("cameras"))
    running.start()
    yield running
    running.close()


def picture(path: Path) -> np.ndarray:
    found = cv2.imread(str(path))
    assert found is not None
    return found


def test_a_camera_is_named_first_and_must_be_where_there_are_several(cameras: Cameras) -> None:
    assert "east is STREAMING (simulated, simulator)" in cameras.cam("east", "status").stdout
    assert json.loads(cameras.cam("--json", "west", "status").stdout)["instance"] == "west"
    which = cameras.cam("status")
    assert which.returncode == 46
    assert "say which camera: east, west" in which.stderr
    unknown = cameras.cam("north", "status")
    assert unknown.returncode == 64
    assert "only: east, west" in unknown.stderr
    assert cameras.cam("--config", str(cameras.etc / "camerad" / "east.json"), "json").returncode == 0
    assert cameras.cam("east", "nonsense").returncode == 64
    assert "Commands:" in cameras.cam().stdout
    assert re.fullmatch(r"cam \d+\.\d+\.\d+\n", cameras.cam("--version").stdout)


def test_pictures(cameras: Cameras) -> None:
    assert cameras.cam("east", "snapshot", "live.jpg").returncode == 0
    assert picture(cameras.folder / "live.jpg").shape == (720, 1280, 3)
    taken = cameras.cam("east", "photo", "--format", "png", "--output", "mine.png")
    assert taken.returncode == 0, taken.stderr
    name = taken.stdout.strip()
    assert re.fullmatch(r"camera-\d{8}\.png", name)
    assert picture(cameras.folder / "mine.png").shape == (720, 1280, 3)
    assert name in cameras.cam("east", "files").stdout
    assert name not in cameras.cam("west", "files").stdout
    assert cameras.cam("east", "get", name, "again.png").returncode == 0
    assert (cameras.folder / "again.png").read_bytes() == (cameras.folder / "mine.png").read_bytes()
    refused = cameras.cam("east", "get", "../../etc/passwd")
    assert (refused.returncode, refused.stdout) == (45, "")
    assert cameras.cam("east", "snapshot", "/nonexistent/x.jpg").returncode == 1


def test_controls(cameras: Cameras) -> None:
    listed = cameras.cam("west", "controls").stdout
    assert re.search(r"^ExposureTime +29 to 600000000 us", listed, re.MULTILINE)
    assert "Tungsten=2" in listed
    assert cameras.cam("west", "exposure", "0.004").returncode == 0
    assert cameras.cam("west", "gain", "2.5").returncode == 0
    assert cameras.cam("west", "set", "AwbMode=Tungsten", "ColourGains=[1.5,2.0]", "Contrast=1.5").returncode == 0
    waiting.until(lambda: "Exposure: 0.00" in cameras.cam("west", "status").stdout, 10, "the exposure")
    for wrong, code, says in (
        ("ExposureTime=1", 45, "from 29 to 600000000 us"),
        ("ExposureTime=fast", 45, "ExposureTime is 'fast'"),
        ("AwbMode=Moonlight", 45, "Daylight (5)"),
        ("Exposure", 64, "'Exposure' is no NAME=VALUE"),
        ("Exposure=1", 45, "did you mean ExposureTime"),
    ):
        refused = cameras.cam("west", "set", wrong)
        assert refused.returncode == code
        assert says in refused.stderr
    assert cameras.cam("west", "exposure", "-1").returncode == 64
    assert cameras.cam("west", "gain", "1000").returncode == 45


def test_kill_and_init(cameras: Cameras) -> None:
    assert cameras.cam("west", "kill").returncode == 0
    assert "west is OFFLINE" in cameras.cam("west", "status").stdout
    assert cameras.cam("west", "photo").returncode == 7
    assert cameras.cam("west", "kill").returncode == 7
    assert cameras.cam("west", "init").returncode == 0
    assert cameras.cam("west", "init").returncode == 8
    assert cameras.cam("west", "photo").returncode == 0
