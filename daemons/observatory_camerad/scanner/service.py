"""What serves a scanner, joined: the controls file, the controller, and a writer of their own for what goes onto a stick."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from observatory_camerad.acquisition.captures import Captures
from observatory_camerad.acquisition.worker import Worker
from observatory_camerad.config import CameradConfig
from observatory_camerad.drivers.base import ControlInfo
from observatory_camerad.outputs.photos import PhotoWriter
from observatory_camerad.scanner.controller import Controller
from observatory_camerad.scanner.controls_file import ControlsFile
from observatory_camerad.scanner.messages import RELOAD
from observatory_camerad.scanner.test_photos import TestPhotos


class Scanner:
    """Both parts, or those that are configured. A stick that hangs keeps nobody else from writing."""

    def __init__(
        self,
        config: CameradConfig,
        worker: Worker,
        captures: Captures,
        writer: PhotoWriter,
        apply: Callable[[dict[str, Any], bool], dict[str, Any]],
        on_event: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self._worker = worker
        self._writer = writer
        self.controls_file: ControlsFile | None = None
        self.controller: Controller | None = None
        if config.controls_file is not None:
            photos = TestPhotos(config.controls_file.path.parent, captures, on_event)
            self.controls_file = ControlsFile(config.controls_file, self._controls, apply, photos, on_event)
        if config.controller is not None:
            self.controller = Controller(config.controller, config.roots, captures, worker, self._obey, on_event)

    def start(self) -> None:
        """Begin."""
        self._writer.start()
        if self.controls_file is not None:
            self.controls_file.start()
        if self.controller is not None:
            self.controller.start()

    def close(self, deadline_s: float) -> None:
        """End all who ask for frames; before the camera ends."""
        until = time.monotonic() + deadline_s
        if self.controller is not None:
            self.controller.close(deadline_s / 2)
        if self.controls_file is not None:
            self.controls_file.close(max(until - time.monotonic(), 0.1))

    def close_writer(self, deadline_s: float) -> None:
        """Write what was taken; after the camera has ended."""
        self._writer.close(deadline_s)

    def _controls(self) -> Mapping[str, ControlInfo] | None:
        session = self._worker.session
        return None if session is None else session.capabilities.controls

    def _obey(self, command: str) -> None:
        if command == RELOAD and self.controls_file is not None:
            self.controls_file.reload()
