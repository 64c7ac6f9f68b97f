"""The camera's daemon, as ftpd needs it. Only its remote object is spoken to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from observatory_common.errors import (
    CommandFailed,
    DaemonNotReachable,
    DeviceLost,
    InvalidArgument,
    NotConnected,
    ObservatoryError,
    Uncertain,
)
from observatory_common.rpc.client import RemoteDaemon, connect

#: The camera, or its daemon, is not there at the moment.
AWAY = (DaemonNotReachable, NotConnected, DeviceLost, Uncertain)
_APPLIED_WITHIN_S = 15.0
_TAKEN_WITHIN_S = 120.0
_JOB_SLACK_S = 10.0


class PhotoGone(CommandFailed):
    """A photo was taken, and its file is not there any more."""


@contextmanager
def _understood(method: str) -> Iterator[None]:
    """Around the reading of an answer: one of another shape, from another version, is a failure as any other."""
    try:
        yield
    except (LookupError, TypeError, AttributeError) as error:
        if isinstance(error, ObservatoryError):
            raise
        raise CommandFailed(f"the camera's answer to {method} is not understood: {error!r}") from error


@dataclass(frozen=True)
class Photo:
    """A photo, and what its metadata say of its exposure (seconds) and gain."""

    data: bytes
    exposure_s: float | None
    gain: float | None


class RemoteCamera:
    """Calls of camerad. Raises what it refuses with, and one of AWAY when it, or its camera, is not there."""

    def __init__(self, name: str, largest_photo: int) -> None:
        self._daemon: RemoteDaemon = connect(name)  # by the site's registry, and its TLS
        self._largest = largest_photo
        self._not_taken = 0  # jobs of photos that have ended otherwise

    def boot_id(self) -> str:
        """Which run of the daemon answers."""
        return str(self._daemon.report_status()["boot_id"])

    def apply(self, section: Mapping[str, Any], strict: bool) -> dict[str, Any]:
        """Apply the controls that fit: `applied`, `refused` (reasons), `keys`; see camerad."""
        answer = self._daemon.invoke("apply_controls", dict(section), strict, timeout_s=_APPLIED_WITHIN_S)
        with _understood("apply_controls"):
            return {**answer, "applied": dict(answer["applied"]), "refused": dict(answer["refused"])}

    def template(self, section: str) -> bytes:
        """A file with all that can be set, in this section, and notes about it in another."""
        answer = self._daemon.invoke("controls_template", timeout_s=_APPLIED_WITHIN_S)
        with _understood("controls_template"):
            # The camera may call the section otherwise in a file of its own.
            parts = answer["template"].items()
            template = {section + ("_notes" if name.endswith("_notes") else ""): part for name, part in parts}
        return (json.dumps(template, indent=4, ensure_ascii=False) + "\n").encode()

    def take_photo(self, format: str, request_id: str) -> Photo:
        """Take a photo and fetch it. A repeated `request_id` fetches the same, unless it was seen not to be taken.

        Raises PhotoGone, CommandFailed.
        """
        request_id = f"{request_id}-{self._not_taken}"  # of a job that has ended, camerad would tell its end again
        job = self._daemon.invoke("take_photo", format, request_id=request_id, timeout_s=_JOB_SLACK_S)
        job = self._daemon.wait_for(job, timeout_s=_TAKEN_WITHIN_S, longest_absence_s=0.0)
        if job["state"] != "succeeded":
            self._not_taken += 1
            why = (job["error"] or {}).get("message") or job["state"]
            error = NotConnected if job["state"] == "lost_device" else CommandFailed
            raise error(f"the photo was not taken: {why}")
        with _understood("take_photo"):
            name, metadata = job["result"]["name"], job["result"]["metadata"]
            exposure_us, gain = metadata.get("ExposureTime"), metadata.get("AnalogueGain")
            return Photo(
                self._read(name),
                None if exposure_us is None else exposure_us / 1e6,
                None if gain is None else round(float(gain), 4),
            )

    def _read(self, name: str) -> bytes:
        data = bytearray()
        while True:
            piece = self._piece(name, len(data))
            if piece["size"] > self._largest:
                raise CommandFailed(f"the photo has {piece['size']} bytes, more than half of the quota", value=piece["size"])
            data += piece["data"]
            if piece["eof"]:
                break
            if not piece["data"]:
                raise CommandFailed(f"{name} ended at {len(data)} of {piece['size']} bytes")
        if hashlib.sha256(data).hexdigest() != piece["sha256"]:
            raise CommandFailed(f"{name} did not arrive as it was sent")
        return bytes(data)

    def _piece(self, name: str, offset: int) -> dict[str, Any]:
        try:
            piece: dict[str, Any] = self._daemon.read_file(name, offset)
        except InvalidArgument as error:  # also of a file that is there, and cannot be opened now
            listed = self._daemon.files()
            with _understood("files"):
                is_there = any(file["name"] == name for file in listed)
            if is_there:
                raise CommandFailed(f"{name} is there, but cannot be read now", value=name) from error
            raise PhotoGone(f"{name} was taken, and is there no more", value=name) from error
        return piece

    def close(self) -> None:
        """Give the connections up; a call under way ends with DaemonNotReachable."""
        self._daemon.close()
