"""What the routes of all kinds of daemons have in common: list, status, jobs, initialize and shutdown."""

# Annotations are no strings here: FastAPI resolves them.

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request

from observatory_webd.accounts.dependencies import require, services_of
from observatory_webd.accounts.identity import Identity, Role
from observatory_webd.links.link import Link

Viewer = Annotated[Identity, Depends(require(Role.viewer))]
Operator = Annotated[Identity, Depends(require(Role.operator))]
Name = Annotated[str, Path(max_length=60, description="as the configuration of webd calls it")]
JobId = Annotated[str, Path(max_length=60)]
Held = Annotated[float, Query(ge=0, le=10, description="for how long to wait for its end")]


def link_of(request: Request, kind: str, name: str) -> Link:
    """The daemon of this kind and name. Raises UnknownDevice."""
    links = services_of(request).links
    find: Callable[[str], Link] = {"camera": links.camera, "focuser": links.focuser, "gpio": links.gpio}[kind]
    return find(name)


def make_router(kind: str) -> APIRouter:
    """The routes under /api/v1/cameras, /focusers or /gpios that all kinds have; more can be added to it."""
    router = APIRouter(prefix=f"/api/v1/{kind}s", tags=[f"{kind}s"])

    @router.get("", name=f"list_{kind}s")
    async def all_of_kind(request: Request, identity: Viewer) -> list[dict[str, Any]]:
        """Each with its last status, its age, whether it can be reached and since when that is so."""
        return [link.to_wire() for link in services_of(request).links.of_kind(kind)]

    @router.get("/{name}", name=f"{kind}_status")
    async def status(name: Name, request: Request, identity: Viewer) -> dict[str, Any]:
        """The last status, its age, whether the daemon can be reached and since when that is so."""
        return link_of(request, kind, name).to_wire()

    @router.get("/{name}/jobs/{id}", name=f"{kind}_job")
    async def job(name: Name, id: JobId, request: Request, identity: Viewer, wait_s: Held = 0.0) -> Any:
        """A job, as soon as it has ended, at the latest after `wait_s` seconds."""
        link = link_of(request, kind, name)
        return await (link.call("wait", id, wait_s) if wait_s else link.call("job", id))

    @router.post("/{name}/jobs/{id}/cancel", name=f"cancel_{kind}_job")
    async def cancel(name: Name, id: JobId, request: Request, identity: Operator) -> Any:
        """Ask for a job's early end."""
        return await link_of(request, kind, name).call("cancel", id, user=identity)

    @router.post("/{name}/initialize", name=f"initialize_{kind}")
    async def initialize(name: Name, request: Request, identity: Operator) -> Any:
        """Connect the daemon to its device."""
        return await link_of(request, kind, name).call("initialize", user=identity)

    @router.post("/{name}/shutdown", name=f"shutdown_{kind}")
    async def shutdown(name: Name, request: Request, identity: Operator) -> Any:
        """Have the daemon let go of its device, until `initialize`."""
        return await link_of(request, kind, name).call("shutdown", user=identity)

    return router
