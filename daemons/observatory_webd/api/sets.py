"""A camera's settings: what differs from its config, kept under names, copied to another camera of its model."""

# Annotations are no strings here: FastAPI resolves them.

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request

from observatory_common.errors import CommandFailed, InvalidArgument
from observatory_webd.accounts.dependencies import services_of
from observatory_webd.api.daemons import Name, Operator, Viewer
from observatory_webd.api.models import Copy
from observatory_webd.links.link import Link

router = APIRouter(prefix="/api/v1/cameras", tags=["settings"])
_Set = Annotated[str, Path(max_length=60, description="the name of kept settings")]


def _link(request: Request, name: str) -> Link:
    return services_of(request).links.camera(name)


@router.get("/{name}/settings")
async def settings(name: Name, request: Request, identity: Viewer) -> Any:
    """What differs from the camera's config: use cases, controls; `saved`: the names of kept settings."""
    return await _link(request, name).call("settings")


@router.post("/{name}/settings/reset")
async def reset_settings(name: Name, request: Request, identity: Operator) -> Any:
    """Everything as the camera's config says; kept settings stay."""
    return await _link(request, name).call("reset_settings", user=identity)


@router.post("/{name}/settings/copy")
async def copy_settings(name: Name, body: Copy, request: Request, identity: Operator) -> Any:
    """Have another camera of the same model take over what holds now, as a whole; answers with its settings.

    If it refuses a part, nothing is changed, and the answer is the refusal.
    """
    source, target = _link(request, name), await _equal(request, name, body.to)
    return await _hand_over(await source.call("settings"), target, body.save_as, identity)


@router.get("/{name}/settings/sets/{set}")
async def saved_settings(name: Name, set: _Set, request: Request, identity: Viewer) -> Any:
    """What is kept under a name: use cases, controls, and since when."""
    return await _link(request, name).call("saved_settings", set)


@router.post("/{name}/settings/sets/{set}/copy")
async def copy_saved_settings(name: Name, set: _Set, body: Copy, request: Request, identity: Operator) -> Any:
    """Have another camera of the same model take over what is kept under a name; else as `copy`."""
    source, target = _link(request, name), await _equal(request, name, body.to)
    return await _hand_over(await source.call("saved_settings", set), target, body.save_as, identity)


@router.post("/{name}/settings/sets/{set}/save")
async def save_settings(name: Name, set: _Set, request: Request, identity: Operator) -> Any:
    """Keep what holds now under a name."""
    return await _link(request, name).call("save_settings", set, user=identity)


@router.post("/{name}/settings/sets/{set}/load")
async def load_settings(name: Name, set: _Set, request: Request, identity: Operator) -> Any:
    """Set what was kept under a name."""
    return await _link(request, name).call("load_settings", set, user=identity)


@router.post("/{name}/settings/sets/{set}/delete")
async def delete_settings(name: Name, set: _Set, request: Request, identity: Operator) -> Any:
    """Forget what was kept under a name."""
    return await _link(request, name).call("delete_settings", set, user=identity)


async def _equal(request: Request, name: str, to: str) -> Link:
    """The other camera. Raises InvalidArgument unless it is one of the same model, with the same sensor."""
    source, target = _link(request, name), _link(request, to)
    if source is target:
        raise InvalidArgument(f"{name} has these settings already", value=to, allowed="another camera")
    models = [await link.call("capabilities") for link in (source, target)]
    kinds = [(one["driver"], one["model"], one["sensor_size"]) for one in models]
    if kinds[0] != kinds[1]:
        raise InvalidArgument(
            f"{target.name} is a {kinds[1][1]}, not a {kinds[0][1]} as {source.name}",
            value=kinds[1][1],
            allowed=f"a camera of the model {kinds[0][1]}",
        )
    return target


async def _hand_over(wanted: dict[str, Any], target: Link, save_as: str | None, identity: Any) -> Any:
    before = await target.call("settings")
    settings = await target.call("apply_settings", wanted["use_cases"], wanted["controls"], user=identity)
    if save_as is None:
        return settings
    try:
        return await target.call("save_settings", save_as, user=identity)
    except (CommandFailed, InvalidArgument):
        await target.call("apply_settings", before["use_cases"], before["controls"], user=identity)
        raise
