"""Commands to read the controls file again, and what it does then that cannot go well."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import waiting
from controls_files import KNOWN, watcher

from observatory_camerad.config import ControlsFileConfig
from observatory_camerad.scanner.controls_file import ControlsFile
from observatory_camerad.scanner.test_photos import TestPhotos
from observatory_common.errors import DeviceLost


def test_an_unexpected_error_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    asked: list[int] = []

    def controls() -> Any:
        asked.append(1)
        raise RuntimeError("a bug")

    photos = TestPhotos(tmp_path, None, lambda *_: None)
    watching = ControlsFile(
        ControlsFileConfig(tmp_path / "c.json", poll_s=0.1), controls, lambda *_: {}, photos, lambda *_: None
    )
    watching.start()
    waiting.until(lambda: len(asked) > 4, 5, "some looks")
    watching.close(5)
    assert watching.status()["error"] == "unexpected error: a bug"
    assert caplog.text.count("Traceback") == 1


def test_a_flood_of_commands_takes_a_photo_each_second(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text('{"picamera": {"AnalogueGain": 2}}')
    told: list[Any] = []
    watching = watcher(path, told, poll_s=30.0, template=False)
    watching.start()
    try:
        waiting.until(lambda: watching.status()["state"] == "applied", 5, "the file")
        began = time.monotonic()
        waiting.until(lambda: watching.reload() or time.monotonic() > began + 1.5, 5, "the end of the flood")
        path.write_text('{"picamera": {"AnalogueGain": 3}}')
        watching.reload()
        waiting.until(lambda: told[-2:] == [{"AnalogueGain": 3}, "photo"], 5, "the newest command")
        assert told.count("photo") <= 1 + (time.monotonic() - began) / 1.0
    finally:
        watching.close(5)


@contextmanager
def commanded(folder: Path, obeying: Callable[[ControlsFile], None]) -> Iterator[tuple[ControlsFile, list[Any]]]:
    """A watcher that has applied its file and is told to read it again; `obeying` is called as it first does so."""
    path = folder / "c.json"
    path.write_text('{"picamera": {"AnalogueGain": 2}}')
    told: list[Any] = []
    watching = watcher(path, told, poll_s=0.1, template=False)

    def apply(section: dict[str, Any], strict: bool) -> dict[str, Any]:
        told.append(section)
        if len(told) == 2:
            obeying(watching)
        return {"applied": section}

    watching._apply = apply
    watching.start()
    try:
        waiting.until(lambda: watching.status()["state"] == "applied", 5, "the file")
        watching.reload()
        yield watching, told
    finally:
        watching.close(5)


def test_a_command_that_comes_while_another_is_obeyed_is_obeyed_too(tmp_path: Path) -> None:
    with commanded(tmp_path, lambda watching: watching.reload()) as (_, told):
        waiting.until(lambda: told.count("photo") == 2, 10, "both photos")


def test_a_command_is_not_forgotten_when_the_camera_is_lost_as_it_is_obeyed(tmp_path: Path) -> None:
    def lose(_: ControlsFile) -> None:
        raise DeviceLost("the camera was lost: pulled out")

    with commanded(tmp_path, lose) as (watching, told):
        waiting.until(lambda: told[-1] == "photo", 10, "its photo")
        assert watching.status()["error"] is None


def test_a_file_that_cannot_be_told_is_applied_once_for_a_command(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text('{"picamera": {}}')
    told: list[Any] = []
    watching = watcher(path, told, poll_s=0.1, template=False)
    looks: list[int] = []
    watching._controls = lambda: looks.append(1) or KNOWN
    watching._apply = lambda *_: told.append("set") or {"in_effect": {"AnalogueGain": float("inf")}}
    watching.start()
    try:
        waiting.until(lambda: "not JSON compliant" in (watching.status()["error"] or ""), 5, "the error")
        assert told == ["set"]
        watching.reload()
        waiting.until(lambda: len(told) > 1, 5, "the command")
        before = len(looks)
        waiting.until(lambda: len(looks) > before + 3, 5, "some looks")
        assert told == ["set"] * 2
    finally:
        watching.close(5)
