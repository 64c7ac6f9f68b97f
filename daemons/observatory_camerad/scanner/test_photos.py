"""Photos that show what a controls file has changed, beside that file."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from observatory_camerad.acquisition.captures import Captures, Wish
from observatory_camerad.outputs import disk
from observatory_camerad.outputs.photos import Outcome
from observatory_common.errors import ObservatoryError

log = logging.getLogger("camerad.controls_file")

FIRST = "test"
_NUMBERED = re.compile(r"test([0-9]{3,9})\.(jpg|json)")


class TestPhotos:
    """Takes `test.jpg`, which replaces the one before, and test000.jpg, test001.jpg..., which replace none."""

    __test__ = False  # for pytest, which thinks of tests

    def __init__(self, folder: Path, captures: Captures, on_event: Callable[[str, dict[str, Any]], None]) -> None:
        self.last: str | None = None
        self.error: str | None = None
        self._folder = folder
        self._captures = captures
        self._on_event = on_event

    def take(self, numbered: bool) -> None:
        """Have one taken; what becomes of it is told in `last`, `error`, the log and an event."""
        try:
            stem = self._next() if numbered else self._cleared()
            wish = Wish("photo", "jpg", folder=self._folder, named=lambda _: (stem, {}))
            self._captures.require_room(wish)
            self._captures.shoot(wish, Outcome(self._written, self._failed))
        except ObservatoryError as error:
            self._failed(error)

    def _next(self) -> str:
        with disk.told(self._folder, doing="read"):
            found = [int(name[1]) for path in self._folder.iterdir() if (name := _NUMBERED.fullmatch(path.name))]
        return f"{FIRST}{max(found, default=-1) + 1:03d}"

    def _cleared(self) -> str:
        with disk.told(self._folder, doing="changed"):
            for ending in ("jpg", "json"):
                (self._folder / f"{FIRST}.{ending}").unlink(missing_ok=True)
        return FIRST

    def _written(self, result: dict[str, Any]) -> None:
        self.last, self.error = result["name"], None
        log.info("the test photo %s is there", self._folder / result["name"])
        self._on_event("test_photo_taken", {"name": result["name"]})

    def _failed(self, error: ObservatoryError) -> None:
        self.error = str(error)
        log.error("no test photo: %s", error)
