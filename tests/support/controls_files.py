"""A camerad with a controls file, and a watcher of such a file without a camera."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import waiting
from cameras import Camerad

from observatory_camerad.config import ControlsFileConfig
from observatory_camerad.scanner.controls_file import ControlsFile
from observatory_camerad.scanner.test_photos import TestPhotos
from observatory_camerad.simulator.controls import controls
from observatory_common.rpc.client import RemoteDaemon

KNOWN = controls((0, 0, 1280, 720), (29, 600_000_000), (8333, 600_000_000))


class Setup:
    """A camerad with a controls file, and what it says of it."""

    def __init__(self, folder: Path, path: Path, **config: Any) -> None:
        inside = config.pop("inside", None)
        controller = config.pop("controller", None)
        more = {} if controller is None else {"controller": controller, "roots": [str(path.parent)]}
        self.camerad = Camerad(folder, inside=inside, controls_file={"path": str(path), "poll_s": 0.1, **config}, **more)
        self.path = path if inside is None else inside.path / path.name
        self.report_path = self.path.with_name(self.path.name + ".report")
        self.template_path = self.path.with_name(self.path.name + ".default")

    def write(self, content: Any) -> None:
        """As somebody does who copies a file: under another name first."""
        beside = self.path.with_name("upload")
        beside.write_text(content if isinstance(content, str) else json.dumps(content))
        os.replace(beside, self.path)

    def report(self, camera: RemoteDaemon, after: str = "") -> dict[str, Any]:
        """The next report."""
        found = waiting.until(
            lambda: (seen := camera.controls_file()["report"]) and seen["date"] > after and seen, 10, "a report"
        )
        waiting.until(lambda: self.report_path.exists() and json.loads(self.report_path.read_text()) == found, 10, "its file")
        return found


def watcher(path: Path, told: list[Any], **config: Any) -> ControlsFile:
    """One without a camera, whose controls are as good as set; test photos fail and are told as \"photo\"."""

    class NoPhotos(TestPhotos):
        def take(self, numbered: bool) -> None:
            told.append("photo")
            self.error = "no photo"

    return ControlsFile(
        ControlsFileConfig(path, **config),
        lambda: KNOWN,
        lambda section, _: told.append(section) or {"applied": section},
        NoPhotos(path.parent, None, lambda *_: None),
        lambda *_: None,
    )
