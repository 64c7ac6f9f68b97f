"""Focusers: channels that move."""

# Annotations are no strings here: FastAPI resolves them.

from typing import Any

from fastapi import Request

from observatory_webd.api import models
from observatory_webd.api.daemons import Name, Operator, link_of, make_router
from observatory_webd.links.link import Link

router = make_router("focuser")


def _link(request: Request, name: str) -> Link:
    return link_of(request, "focuser", name)


@router.post("/{name}/move")
async def move(name: Name, body: models.Move, request: Request, identity: Operator) -> Any:
    """Move a channel; answers with a job. A repeated `request_id` never moves twice."""
    return await _link(request, name).call(
        "set_focus",
        body.channel,
        body.steps,
        body.offset,
        request_id=body.request_id,
        accept_uncertain=body.accept_uncertain,
        user=identity,
    )


@router.post("/{name}/stop")
async def stop(name: Name, body: models.SomeChannel, request: Request, identity: Operator) -> Any:
    """Stop one channel or all of them; overtakes everything."""
    return await _link(request, name).call("stop_channel", body.channel, user=identity)


@router.post("/{name}/zero")
async def zero(name: Name, body: models.Channel, request: Request, identity: Operator) -> Any:
    """Call the present position of a channel 0."""
    return await _link(request, name).call("reset_home_position", body.channel, user=identity)


@router.post("/{name}/confirm")
async def confirm(name: Name, body: models.Channel, request: Request, identity: Operator) -> Any:
    """Say that the position shown of a channel is right."""
    return await _link(request, name).call("confirm_position", body.channel, user=identity)


@router.post("/{name}/fans")
async def set_fans(name: Name, body: models.Switch, request: Request, identity: Operator) -> Any:
    """Switch the fans."""
    return await _link(request, name).call("set_fans", body.enabled, user=identity)
