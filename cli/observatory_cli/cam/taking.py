"""Photos, sequences and video from a shell."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from observatory_cli.cam import text, waiting
from observatory_cli.cam.waiting import Bar
from observatory_common.errors import CommandFailed, ObservatoryError, TimedOut
from observatory_common.events import LONGEST_WAIT_S
from observatory_common.rpc.client import RemoteDaemon

_RECORDING_ENDS_WITHIN_S = 15.0
_LOOK_EVERY_S = 0.1
_LONGEST_METADATA = 16 << 20


def photo(
    camera: RemoteDaemon, format: str | None, raw: bool, with_raw: str | None, at: str | None
) -> dict[str, Any]:
    """Take one; returns its job. Raises how else it ended."""

    def start() -> dict[str, Any]:
        job: dict[str, Any]
        if raw:
            job = camera.take_raw(format or "fits", at)
        else:
            job = camera.take_photo(format or "jpg", with_raw, at)
        return job

    def how_far(seen: Mapping[str, Any], job: Mapping[str, Any]) -> list[Bar]:
        left_s = 0.0 if at is None else _seconds_between(seen["date"], at)
        return [Bar(f"Starts in {left_s:.0f} s", 0, None)] if left_s > 0 else waiting.exposure(seen)

    return waiting.finished(camera, start, how_far, lambda job: "no photo was taken")


def _seconds_between(earlier: str, later: str) -> float:
    from datetime import datetime

    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


def sequence(camera: RemoteDaemon, count: int, interval_s: float, format: str) -> dict[str, Any]:
    """Take so many; returns the job, whose result has `names` too. Raises how else it ended."""

    def how_far(seen: Mapping[str, Any], job: Mapping[str, Any]) -> list[Bar]:
        if seen["sequence_frame_limit"] is None:
            return []
        return [Bar("Sequence", seen["sequence_frame_count"], count, text.acquiring(seen)), *waiting.exposure(seen)]

    def in_words(job: Mapping[str, Any]) -> str:
        result = job["result"] or {}
        last = f", the last is {result['last']}" if result.get("last") else ""
        return f"{result.get('taken', 0)} of {count} frames were taken{last}"

    job = waiting.finished(camera, lambda: _started(camera, count, interval_s, format), how_far, in_words)
    job["result"]["names"] = _names(camera, job["result"]["first"], job["result"]["last"])
    return job


def _started(camera: RemoteDaemon, count: int, interval_s: float, format: str) -> dict[str, Any]:
    job: dict[str, Any] = camera.start_sequence(count, interval_s, format)
    return job


def _names(camera: RemoteDaemon, first: str, last: str) -> list[str]:
    """The files of a sequence in the order in which they were written; others may have been taken between them."""
    files = {file["name"]: file["modified_s"] for file in camera.files()}
    wanted = _sequence_of(camera, first)
    if wanted is None or not {first, last} <= files.keys():
        return list(dict.fromkeys([first, last]))
    ending = Path(first).suffix
    between = [name for name in files if name.endswith(ending) and files[first] <= files[name] <= files[last]]
    mine = [name for name in between if name in (first, last) or _sequence_of(camera, name) == wanted]
    return sorted(mine, key=lambda name: (files[name], name))


def _sequence_of(camera: RemoteDaemon, name: str) -> str | None:
    """By which sequence a picture was taken, as the metadata beside it say."""
    data = b""
    try:
        while len(data) < _LONGEST_METADATA:
            piece = camera.read_file(str(Path(name).with_suffix(".json")), len(data))
            data += piece["data"]
            if piece["eof"]:
                break
        found = json.loads(data)["observatory"].get("sequence")
    except (ObservatoryError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return found if isinstance(found, str) else None


def video(camera: RemoteDaemon, duration_s: float, audio: bool, format: str, timeout_s: float) -> dict[str, Any]:
    """Record for so many seconds; returns the job. Raises how else it ended."""

    def start() -> dict[str, Any]:
        job: dict[str, Any] = camera.call("start_video", duration_s, audio, format, timeout_s=timeout_s)
        return job

    def how_far(seen: Mapping[str, Any], job: Mapping[str, Any]) -> list[Bar]:
        done_s = seen["recording_s"] or 0.0
        return [Bar("Recording", done_s, duration_s, f"{done_s:.1f} / {duration_s:.1f}s")]

    def in_words(job: Mapping[str, Any]) -> str:
        result = job["result"] or {}
        if not result.get("name"):
            return "nothing was recorded"
        return f"recorded {result['duration_s']:.1f}s: {result['name']}"

    return waiting.finished(camera, start, how_far, in_words)


def stop_video(camera: RemoteDaemon) -> dict[str, Any]:
    """End the recording and wait until its file is there; returns its job's result.

    Raises CameraNotAcquiring without a recording, CommandFailed if nothing was kept, TimedOut.
    """
    name = camera.report_status()["recording"]
    camera.stop_video()
    until = time.monotonic() + _RECORDING_ENDS_WITHIN_S
    boot_id, after = None, 0
    while time.monotonic() < until:
        answer = camera.events(boot_id, after, min(max(until - time.monotonic(), _LOOK_EVERY_S), LONGEST_WAIT_S))
        boot_id, after = answer["boot_id"], answer["next"]
        for event in answer["events"]:
            ended: dict[str, Any] = event["data"]
            if event["name"] == "recording_stopped" and ended["name"] in (name, None):
                if ended["name"] is None:
                    raise CommandFailed(f"nothing was recorded: {ended['reason']}")
                return ended
    raise TimedOut(f"the recording {name} has not ended within {_RECORDING_ENDS_WITHIN_S:g} s")


def say_where(camera: RemoteDaemon, name: str, elsewhere: str | None) -> None:
    """On stderr, where a file is that lies on another machine."""
    if elsewhere is not None:
        folder = camera.report_status()["output_path"]
        print(f"{name} is in {folder} on {elsewhere}; `cam get {name}` fetches it", file=sys.stderr)
