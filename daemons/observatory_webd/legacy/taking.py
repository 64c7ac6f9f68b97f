"""What raspiCamSrv's API has a camera do, each answered when it is done. Every wait is bounded."""

from __future__ import annotations

import asyncio
import time
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from observatory_common.errors import CameraNotAcquiring, CommandFailed, TimedOut

if TYPE_CHECKING:
    from observatory_webd.accounts.identity import Identity
    from observatory_webd.links.link import Link

_PHOTO_WITHIN_S = 60.0
_VIDEO_WITHIN_S = 20.0
_HELD_S = 5.0  # by the camera's daemon, for the end of a job
_ASK_EVERY_S = 0.03
_FRAMES = 4  # may pass meanwhile, however long their exposure


async def photo(link: Link, user: Identity) -> str:
    """Take a photo; its path. Raises what the camera refuses with, TimedOut."""
    return await _shot(link, user, await link.call("take_photo", "jpg", user=user))


async def raw_photo(link: Link, user: Identity) -> str:
    """Take a raw photo as DNG (TIFF of a camera that has no raw frames); its path. Raises as `photo`."""
    features = (await link.call("capabilities"))["features"]
    return await _shot(link, user, await link.call("take_raw", "dng" if "raw" in features else "tiff", user=user))


async def record(link: Link, user: Identity, duration_s: float | None) -> str:
    """Record, for so long or until stopped; the path once there are frames in it. Raises as `photo`."""
    job = await link.call("start_video", duration_s, user=user)
    status = await link.call("report_status")
    deadline_at = _deadline_at(status, _VIDEO_WITHIN_S)
    while True:
        if status["recording"] is not None and status["recording_s"]:
            return _path(link, status["recording"])
        job = await link.call("job", job["id"])
        if job["state"] != "running":  # it was a short one
            return _path(link, _result(job)["name"])
        if time.monotonic() > deadline_at:
            await link.call("stop_video", user=user)
            raise TimedOut(f"{link.name}: the recording had no frame in {_VIDEO_WITHIN_S:g} s", value=link.name)
        await asyncio.sleep(_ASK_EVERY_S)
        status = await link.call("report_status")


async def stop(link: Link, user: Identity) -> str:
    """End the recording; its path once the file is closed. Raises CameraNotAcquiring without one, and as `photo`."""
    status = await link.call("report_status")
    name: str | None = status["recording"]
    if name is None:
        raise CameraNotAcquiring(f"{link.name}: no recording runs", value=link.name)
    await link.call("stop_video", user=user)
    deadline_at = _deadline_at(status, _VIDEO_WITHIN_S)
    while (await link.call("report_status"))["recording"] == name:
        if time.monotonic() > deadline_at:
            raise TimedOut(f"{link.name}: {name} was not closed in {_VIDEO_WITHIN_S:g} s", value=name)
        await asyncio.sleep(_ASK_EVERY_S)
    await link.call("read_file", name)  # a recording without a frame leaves no file
    return _path(link, name)


async def _shot(link: Link, user: Identity, job: dict[str, Any]) -> str:
    deadline_at = _deadline_at(link.seen.status or {}, _PHOTO_WITHIN_S)
    while job["state"] == "running":
        if time.monotonic() > deadline_at:
            await link.call("cancel", job["id"], user=user)
            raise TimedOut(f"{link.name} has not taken the photo in {_PHOTO_WITHIN_S:g} s", value=link.name)
        job = await link.call("wait", job["id"], _HELD_S)
    result = _result(job)
    return _path(link, result["name"], result["folder"])


def _result(job: dict[str, Any]) -> dict[str, Any]:
    if job["state"] != "succeeded":
        error = job["error"] or {"message": f"the {job['kind']} ended early: {job['state']}"}
        raise CommandFailed(error["message"], value=job["state"])
    result: dict[str, Any] = job["result"]
    return result


def _path(link: Link, name: str, folder: str | None = None) -> str:
    """Where the file lies on the machine of the camera's daemon."""
    where = folder or (link.seen.status or {}).get("output_path")
    return name if where is None else str(PurePosixPath(where) / name)


def _deadline_at(status: dict[str, Any], within_s: float) -> float:
    return time.monotonic() + within_s + _FRAMES * (status.get("exposure_time") or 0.0)
