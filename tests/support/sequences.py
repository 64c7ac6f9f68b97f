"""Sequences of pictures, and what must be true of them after whatever has happened to their daemon."""

from __future__ import annotations

import json
import random
import threading
from datetime import datetime
from pathlib import Path
from typing import Any

import waiting
from cameras import Camerad, assert_whole, done, events_named, number_of


def metadata_of(folder: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / name).with_suffix(".json").read_text())
    return found


def started_s(folder: Path, name: str) -> float:
    """When its exposure started."""
    return datetime.fromisoformat(metadata_of(folder, name)["observatory"]["exposure_start"]).timestamp()


def outlive_kills(camerad: Camerad, kills: int, frames: int) -> None:
    """A sequence of small pictures whose daemon is killed at random moments: in the end all are there, whole, once."""
    chance = random.Random(11)
    camerad.start()
    with camerad.connect() as camera:
        camera.start_sequence(frames, 0, "jpg")
    for _ in range(kills):
        with camerad.connect() as camera:
            seen = camera.report_status()["sequence_frame_count"]
            more = seen + chance.randint(1, (frames - 100) // kills)
            waiting.until(lambda: camera.report_status()["sequence_frame_count"] >= more, 30, f"{more} frames")  # noqa: B023
        threading.Event().wait(chance.random() * 0.02)  # any moment of a frame
        camerad.kill()
        camerad.run()
    with camerad.connect() as camera:
        waiting.until(lambda: camera.report_status()["sequence_frame_limit"] is None, 60, "the end of the sequence")
        ended = events_named(camera, "sequence_ended")
        assert [(event["data"]["how"], event["data"]["taken"]) for event in ended] == [("succeeded", frames)]
        assert len(camera.files()) == 2 * frames
        assert done(camera, camera.take_photo())["name"] > ended[0]["data"]["last"]
    pictures = assert_whole(camerad.output)[:-1]
    assert len(pictures) == frames
    assert (pictures[0], pictures[-1]) == (ended[0]["data"]["first"], ended[0]["data"]["last"])
    numbers = [number_of(name) for name in pictures]
    assert len(set(numbers)) == frames and numbers[-1] <= frames + kills  # one that a kill cost is not given again
    begins = [started_s(camerad.output, name) for name in pictures]
    assert begins == sorted(begins)
    assert len({metadata_of(camerad.output, name)["observatory"]["sequence"] for name in pictures}) == 1
    assert [path.name for path in camerad.state_folder.iterdir() if path.name.startswith(".")] == []
