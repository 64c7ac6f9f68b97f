"""Cameras: what they can do, what they are set to, what they take."""

# Annotations are no strings here: FastAPI resolves them.

from typing import Annotated, Any, Literal

from fastapi import Path, Query, Request

from observatory_webd.api import models
from observatory_webd.api.daemons import Name, Operator, Viewer, link_of, make_router
from observatory_webd.links.link import Link

router = make_router("camera")
UseCaseName = Annotated[Literal["live", "photo", "raw", "video"], Path()]
_Stream = Annotated[str, Query(max_length=32)]


def _link(request: Request, name: str) -> Link:
    return link_of(request, "camera", name)


@router.get("/{name}/capabilities")
async def capabilities(name: Name, request: Request, identity: Viewer) -> Any:
    """What the camera is and can do: model, sensor, modes, streams, features."""
    return await _link(request, name).call("capabilities")


@router.get("/{name}/controls")
async def controls(name: Name, request: Request, identity: Viewer) -> Any:
    """Each control's type, range, default, unit, names of values, and what it is set to."""
    return await _link(request, name).call("controls")


@router.post("/{name}/controls")
async def set_controls(name: Name, body: models.Controls, request: Request, identity: Operator) -> Any:
    """Change controls, all or none; answers when a frame has them, with what the camera made of them."""
    return await _link(request, name).call("set_controls", body.values, body.timeout_s, user=identity)


@router.post("/{name}/exposure")
async def set_exposure(name: Name, body: models.Exposure, request: Request, identity: Operator) -> Any:
    """Fix the exposure, in seconds."""
    return await _link(request, name).call("set_exposure", body.exposure_s, body.timeout_s, user=identity)


@router.post("/{name}/gain")
async def set_gain(name: Name, body: models.Gain, request: Request, identity: Operator) -> Any:
    """Fix the analogue gain."""
    return await _link(request, name).call("set_gain", body.gain, body.timeout_s, user=identity)


@router.post("/{name}/crop")
async def set_crop(name: Name, body: models.Crop, request: Request, identity: Operator) -> Any:
    """Zoom and pan; without any value all of the picture is seen again."""
    return await _link(request, name).call("set_crop", body.crop, body.zoom, body.centre, user=identity)


@router.post("/{name}/autofocus")
async def autofocus(name: Name, request: Request, identity: Operator) -> Any:
    """Have the lens find its focus; answers with a job."""
    return await _link(request, name).call("autofocus", user=identity)


@router.get("/{name}/metadata")
async def metadata(name: Name, request: Request, identity: Viewer) -> Any:
    """The metadata of the latest frame."""
    return await _link(request, name).call("metadata")


@router.get("/{name}/histogram")
async def histogram(name: Name, request: Request, identity: Viewer, stream: _Stream = "live") -> Any:
    """How the tones of the next frame are spread: 256 counts, mean, saturated share of each plane."""
    return await _link(request, name).call("histogram", stream)


@router.get("/{name}/use-cases")
async def use_cases(name: Name, request: Request, identity: Viewer) -> Any:
    """What live, photo, raw and video are: stream, size, format, mode, buffers, controls."""
    return await _link(request, name).call("use_cases")


@router.post("/{name}/use-cases/{use_case}")
async def set_use_case(name: Name, use_case: UseCaseName, body: models.UseCase, request: Request, identity: Operator) -> Any:
    """Change the keys of a use case that are given; the camera is configured anew, with a gap in the live view."""
    return await _link(request, name).call("set_use_case", use_case, body.values, user=identity)


# taking


@router.post("/{name}/photo")
async def take_photo(name: Name, body: models.Photo, request: Request, identity: Operator) -> Any:
    """Take a photo; answers with a job, whose result names the files."""
    values = body.model_dump()
    return await _link(request, name).call("take_photo", **values, user=identity)


@router.post("/{name}/raw")
async def take_raw(name: Name, body: models.Raw, request: Request, identity: Operator) -> Any:
    """Take a raw frame; answers with a job, whose result names the file."""
    return await _link(request, name).call("take_raw", **body.model_dump(), user=identity)


@router.post("/{name}/video/start")
async def start_video(name: Name, body: models.Video, request: Request, identity: Operator) -> Any:
    """Record; answers with a job."""
    return await _link(request, name).call("start_video", **body.model_dump(), user=identity)


@router.post("/{name}/video/stop")
async def stop_video(name: Name, request: Request, identity: Operator) -> Any:
    """End the recording; its job has the result soon."""
    return await _link(request, name).call("stop_video", user=identity)


@router.post("/{name}/sequence/start")
async def start_sequence(name: Name, body: models.Sequence, request: Request, identity: Operator) -> Any:
    """Take so many frames; answers with a job."""
    return await _link(request, name).call("start_sequence", **body.model_dump(), user=identity)


@router.post("/{name}/sequence/stop")
async def stop_sequence(name: Name, request: Request, identity: Operator) -> Any:
    """End the sequence at once."""
    return await _link(request, name).call("stop_sequence", user=identity)
