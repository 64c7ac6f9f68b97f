"""GPIO devices: described well enough to draw a form, and called by the methods of their tables."""

# Annotations are no strings here: FastAPI resolves them.

from typing import Annotated, Any

from fastapi import Path, Request

from observatory_webd.api.daemons import Name, Operator, Viewer, link_of, make_router
from observatory_webd.api.models import DeviceCall
from observatory_webd.links.link import Link

router = make_router("gpio")
_Device = Annotated[str, Path(max_length=60)]
_Method = Annotated[str, Path(max_length=60)]


def _link(request: Request, name: str) -> Link:
    return link_of(request, "gpio", name)


@router.get("/{name}/devices")
async def devices(name: Name, request: Request, identity: Viewer) -> Any:
    """All devices: pins, parameters, methods and events with types, units, ranges, defaults."""
    return await _link(request, name).call("describe")


@router.get("/{name}/devices/{device}")
async def device(name: Name, device: _Device, request: Request, identity: Viewer) -> Any:
    """One device: type, label, reading, since when, who set it, what runs, why it cannot be used."""
    return await _link(request, name).call("state", device)


@router.post("/{name}/devices/{device}/{method}")
async def call(name: Name, device: _Device, method: _Method, body: DeviceCall, request: Request, identity: Operator) -> Any:
    """Do a method of a device; answers with a job if it goes on, else with null when it is done."""
    link = _link(request, name)
    return await link.call("call", device, method, body.arguments, request_id=body.request_id, user=identity)


@router.post("/{name}/all-off")
async def all_off(name: Name, request: Request, identity: Operator) -> Any:
    """Switch every output off."""
    return await _link(request, name).call("all_off", user=identity)
