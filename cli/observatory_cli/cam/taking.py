"""Photos, sequences and video from a shell."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from observatory_cli import events
from observatory_cli.cam import text, waiting
from observatory_cli.cam.waiting import Bar
from observatory_common.errors import CommandFailed, ObservatoryError, TimedOut
from observatory_common.events import LONGEST_WAIT_S
from observatory_common.rpc.client import RemoteDaemon

_RECORDING_ENDS_WITHIN_S = 15.0
_BAR_ABOVE_S = 1.0
_RESUMED_WITHIN_S = 10.0
_LONGEST_METADATA = 16 << 20


class _Exposure:
    """The bar of an exposure of more than a second, also of the first one after a change, which no frame tells of yet."""

    def __init__(self, camera: RemoteDaemon, case: str) -> None:
        self._camera = camera
        self._case = case
        self._asked_s: float | None = None

    def bars(self, seen: Mapping[str, Any]) -> list[Bar]:
        """None, or one."""
        if self._asked_s is None:
            self._asked_s = self._ask()
        whole_s, done_s = self._asked_s or seen["exposure_time"], seen["reading_age_s"]
        if whole_s is None or done_s is None or whole_s <= _BAR_ABOVE_S:
            return []
        done_s = min(done_s, whole_s)
        return [Bar("Exposure", done_s, whole_s, f"{done_s:.1f} / {whole_s:.1f}s")]

    def _ask(self) -> float:
        """What the use case asks for, else what is in force; 0 if the camera chooses for itself."""
        own = self._camera.use_cases().get(self._case, {}).get("controls", {}).get("ExposureTime")
        known = self._camera.controls()
        automatic = known.get("AeEnable", {}).get("value") is True
        in_force = 0 if automatic else known.get("ExposureTime", {}).get("value")
        return float(own or in_force or 0) / 1e6


def photo(camera: RemoteDaemon, format: str | None, raw: bool, with_raw: str | None, at: str | None) -> dict[str, Any]:
    """Take one; returns its job. Raises how else it ended."""
    exposure = _Exposure(camera, "raw" if raw else "photo")

    def start() -> dict[str, Any]:
        job: dict[str, Any]
        if raw:
            job = camera.take_raw(format or "fits", at)
        else:
            job = camera.take_photo(format or "jpg", with_raw, at)
        return job

    def how_far(seen: Mapping[str, Any], job: Mapping[str, Any]) -> list[Bar]:
        left_s = 0.0 if at is None else _seconds_between(seen["date"], at)
        return [Bar(f"Starts in {left_s:.0f} s", 0, None)] if left_s > 0 else exposure.bars(seen)

    return waiting.finished(camera, start, how_far, lambda job: "no photo was taken")


def _seconds_between(earlier: str, later: str) -> float:
    from datetime import datetime

    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


def sequence(camera: RemoteDaemon, count: int, interval_s: float, format: str) -> dict[str, Any]:
    """Take so many; returns the job, whose result has `names` too. Raises how else it ended."""
    exposure = _Exposure(camera, "raw" if format in ("fits", "dng") else "photo")

    def how_far(seen: Mapping[str, Any], job: Mapping[str, Any]) -> list[Bar]:
        if seen["sequence_frame_limit"] is None:
            return []
        return [Bar("Sequence", seen["sequence_frame_count"], count, text.acquiring(seen)), *exposure.bars(seen)]

    def in_words(job: Mapping[str, Any]) -> str:
        result = job["result"] or {}
        last = f", the last is {result['last']}" if result.get("last") else ""
        return f"{result.get('taken', 0)} of {count} frames were taken{last}"

    job = waiting.finished(
        camera, lambda: _started(camera, count, interval_s, format), how_far, in_words, lambda: _resumed(camera, count)
    )
    result = job["result"]
    result["names"] = _names(camera, result["taken"], result["first"], result["last"])
    if not result["names"]:
        raise CommandFailed(f"{in_words(job)}: none of their files is there")
    return job


def _started(camera: RemoteDaemon, count: int, interval_s: float, format: str) -> dict[str, Any]:
    job: dict[str, Any] = camera.start_sequence(count, interval_s, format)
    return job


def _resumed(camera: RemoteDaemon, count: int) -> dict[str, Any] | None:
    """The job with which a restarted daemon goes on with a sequence of so many frames."""
    until = time.monotonic() + _RESUMED_WITHIN_S
    boot_id, after = None, 0
    while (left_s := until - time.monotonic()) > 0:
        answer = camera.events(boot_id, after, min(left_s, LONGEST_WAIT_S))
        boot_id, after = answer["boot_id"], answer["next"]
        for event in answer["events"]:
            if event["name"] == "sequence_started" and event["data"]["limit"] == count:
                job: dict[str, Any] = camera.job(event["data"]["job"])
                return job
    return None


def _names(camera: RemoteDaemon, taken: int, first: str, last: str) -> list[str]:
    """The files of a sequence in the order in which they were written; others may have been taken between them."""
    files = {file["name"]: file["modified_s"] for file in camera.files()}
    if not {first, last} <= files.keys():  # deleted meanwhile
        return [name for name in dict.fromkeys([first, last]) if name in files]
    ending = Path(first).suffix
    between = [name for name in files if name.endswith(ending) and files[first] <= files[name] <= files[last]]
    if len(between) != taken:
        wanted = _sequence_of(camera, first)
        between = [name for name in between if name in (first, last) or _sequence_of(camera, name) == wanted]
    return sorted(between, key=lambda name: (files[name], name))


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


def video(camera: RemoteDaemon, duration_s: float, audio: bool, format: str) -> dict[str, Any]:
    """Record for so many seconds; returns the job. Raises how else it ended."""

    def start() -> dict[str, Any]:
        job: dict[str, Any] = camera.start_video(duration_s, audio, format)
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
    boot_id, after = events.last(camera)
    camera.stop_video()
    until = time.monotonic() + _RECORDING_ENDS_WITHIN_S
    while (left_s := until - time.monotonic()) > 0:
        answer = camera.events(boot_id, after, min(left_s, LONGEST_WAIT_S))
        boot_id, after = answer["boot_id"], answer["next"]
        for event in answer["events"]:
            if event["name"] == "recording_stopped":
                ended: dict[str, Any] = event["data"]
                if ended["name"] is None:
                    raise CommandFailed(f"nothing was recorded: {ended['reason']}")
                return ended
    raise TimedOut(f"the recording {name} has not ended within {_RECORDING_ENDS_WITHIN_S:g} s")


def say_where(camera: RemoteDaemon, name: str, elsewhere: str | None) -> None:
    """On stderr, where a file is that lies on another machine."""
    if elsewhere is not None:
        folder = camera.report_status()["output_path"]
        print(f"{name} is in {folder} on {elsewhere}; `cam get {name}` fetches it", file=sys.stderr)
