"""A camera's remote object that does at once, late or not at all what ftpd asks for. It lives in the test's process."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from observatory_common.access import Caller, Gate, Policy, control, view
from observatory_common.directory import Directory
from observatory_common.errors import DeviceLost, InvalidArgument, NotConnected
from observatory_common.framed import Framed
from observatory_common.remote import RemoteDevice
from observatory_common.rpc.server import Server

RANGES = {"ExposureValue": (-8.0, 8.0), "AnalogueGain": (1.0, 16.0), "ExposureTime": (100, 1_000_000)}
JPEG = b"\xff\xd8" + b"x" * 5000 + b"\xff\xd9"


class FakeCamera(RemoteDevice):
    """Three controls. `go` lets apply_controls through, `is_away` lets it find no camera.

    Photos that are not `is_readable` are refused by read_file; of those that are not `is_listed` either, the files are gone.
    """

    def __init__(self, boot_id: str) -> None:
        super().__init__("camerad", "fake", boot_id, "1.2.3")
        self.controls: dict[str, Any] = {}
        self.calls: list[dict[str, Any]] = []
        self.go = threading.Event()
        self.go.set()
        self.is_away = False
        self.photo = JPEG
        self.is_listed = self.is_readable = True
        self.looks = 0  # how often it was asked for its status
        self.requests: list[str | None] = []  # of take_photo
        self.ends: list[str] = []  # how the next jobs of photos end in place of succeeded
        self.answer: dict[str, Any] | None = None  # to apply_controls, in place of the right one
        self.photos: list[dict[str, Any]] = []

    def start(self) -> None:
        """Nothing to start."""

    def last_progress(self) -> float:
        """Always in good shape."""
        return time.monotonic()

    def close(self, deadline_s: float) -> None:
        """Let go of who waits."""
        self.go.set()
        super().close(deadline_s)

    @view
    def report_status(self) -> dict[str, Any]:
        """What all daemons say."""
        self.looks += 1
        return self.common_status()

    @control
    def apply_controls(self, caller: Caller, values: dict[str, Any], strict: bool = False) -> dict[str, Any]:
        """As camerad's."""
        self.go.wait(20)
        if self.is_away:
            raise NotConnected("the camera is not there: unplugged")
        if self.answer is not None:
            return self.answer
        self.calls.append(values)
        refused = {name: _reason(name, value) for name, value in values.items() if _reason(name, value)}
        applied = {} if strict and refused else {name: value for name, value in values.items() if name not in refused}
        self.controls |= applied
        return {"applied": applied, "refused": refused, "keys": [{"key": key} for key in values], "complete": True}

    @view
    def controls_template(self) -> dict[str, Any]:
        """As camerad's."""
        notes = {name: {"min": low, "max": high} for name, (low, high) in RANGES.items()}
        return {"file": None, "template": {"camera": {name: low for name, (low, _) in RANGES.items()}, "camera_notes": notes}}

    @control
    def take_photo(self, caller: Caller, format: str = "jpg", request_id: str | None = None) -> dict[str, Any]:
        """A photo of what is set."""
        self.requests.append(request_id)
        known = None if request_id is None else self.jobs.with_request(request_id)
        if known is not None:
            return known.to_wire()
        job = self.jobs.start("photo", str(caller), cancel=lambda: None, request_id=request_id)
        if self.ends:
            job.finish(self.ends.pop(0), None, DeviceLost("the camera was lost"))
            return job.to_wire()
        self.photos.append(dict(self.controls))
        name = f"photo_{len(self.photos)}.{format}"
        metadata = {
            "ExposureTime": self.controls.get("ExposureTime", 1000),
            "AnalogueGain": self.controls.get("AnalogueGain", 1),
        }
        job.finish("succeeded", {"name": name, "names": [name], "folder": None, "metadata": metadata})
        return job.to_wire()

    @view
    def files(self) -> list[dict[str, Any]]:
        """The photos."""
        return [{"name": f"photo_{number}.jpg"} for number in range(1, len(self.photos) + 1)] if self.is_listed else []

    @view
    def read_file(self, name: str, offset: int = 0) -> Framed:
        """In small pieces."""
        if not self.is_readable:
            raise InvalidArgument(f"there is no file {name}", value=name, allowed="a name that files() lists")
        piece = self.photo[offset : offset + 2000]
        eof = offset + len(piece) == len(self.photo)
        value: dict[str, Any] = {"name": name, "size": len(self.photo), "offset": offset, "eof": eof}
        if eof:
            value["sha256"] = hashlib.sha256(self.photo).hexdigest()
        return Framed(value, piece)


def _reason(name: str, value: Any) -> str | None:
    if name not in RANGES:
        return "this camera has no such control"
    low, high = RANGES[name]
    return None if low <= value <= high else f"is {value}, expected {low} to {high}"


@contextmanager
def serving(port: int, boot_id: str = "boot-1", control_machines: tuple[str, ...] = ("LocalHost",)) -> Iterator[FakeCamera]:
    """A camera on a port, for as long as the context lasts."""
    camera = FakeCamera(boot_id)
    policy = Policy(control_machines, None, (), Directory({}, {}))
    server = Server(Gate(camera), policy, "test_camera", "127.0.0.1", port)
    server.start()
    try:
        yield camera
    finally:
        camera.close(1)
        server.close(3)
