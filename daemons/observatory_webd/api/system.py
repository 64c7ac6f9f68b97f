"""The gateway and the daemons behind it."""

# Annotations are no strings here: FastAPI resolves them.

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from observatory_common import timestamps
from observatory_webd.accounts.dependencies import require, services_of
from observatory_webd.accounts.identity import Identity, Role
from observatory_webd.links.link import Link
from observatory_webd.services import Services

router = APIRouter(prefix="/api/v1", tags=["system"])
Viewer = Annotated[Identity, Depends(require(Role.viewer))]


@router.get("/system")
async def system(request: Request, identity: Viewer) -> dict[str, Any]:
    """The gateway, each daemon with since when it is as it is, who looks at streams, and the machines of the registry.

    `viewers`, with names and addresses, is for operators; null for who may only look. `sent` and `skipped` count pictures,
    or video packets, so two answers tell the rate.
    """
    services = services_of(request)
    context = services.context
    directory = context.directory
    return {
        "date": timestamps.utc_now(),
        "instance": context.instance,
        "software_version": context.software_version,
        "boot_id": context.boot_id,
        "started": services.started,
        "public_streams": services.config.public_streams,
        "daemons": [daemon(services, link) for link in services.links],
        "streams": services.relays.to_wire(),
        "viewers": services.relays.viewers_to_wire() if identity.role >= Role.operator else None,
        "listeners": services.links.feed.listeners,
        "machines": [
            {"name": machine.name, "addresses": [str(network) for network in machine.networks]}
            for machine in directory.machines.values()
        ],
    }


def daemon(services: Services, link: Link) -> dict[str, Any]:
    """A daemon without the details of its kind."""
    told = link.to_wire()
    status = told.pop("status") or {}
    entry = services.context.directory.daemon(link.shown.daemon)
    return {
        **told,
        "host": entry.host,
        "port": entry.port,
        "state": status.get("state"),
        "last_error": status.get("last_error"),
        "software_version": status.get("software_version"),
        "boot_id": status.get("boot_id"),
        "free_bytes": status.get("free_bytes"),
    }
