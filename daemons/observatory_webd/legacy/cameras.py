"""The two cameras that raspiCamSrv's API knows, what it does with both at the same time, and what it says of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from observatory_common.errors import ObservatoryError

if TYPE_CHECKING:
    from observatory_webd.links.link import Link
    from observatory_webd.services import Services

ACTIVE, SECOND = 0, 1
_STATUS_WITHIN_S = 2.0


@dataclass(frozen=True)
class Outcome:
    """What came of one camera: a path, or the text of an error."""

    text: str
    is_good: bool


@dataclass(frozen=True)
class Look:
    """A camera with its number (its place in webd's config) and its status now; empty, with an error, if it is away."""

    number: int
    link: Link
    status: dict[str, Any]
    error: str | None

    @property
    def model(self) -> str:
        """Its model, if need be as it said last; its label if it has never said one."""
        known = self.status or self.link.seen.status or {}
        return known.get("model") or self.link.shown.label

    @property
    def title(self) -> str:
        """As raspiCamSrv calls it: Camera 0 (imx708)."""
        return f"Camera {self.number} ({self.model})"

    @property
    def is_usb(self) -> bool:
        """Whether it is no camera of a Pi's own connectors."""
        return (self.status or self.link.seen.status or {}).get("driver") == "v4l2"

    @property
    def state(self) -> str:
        """In raspiCamSrv's words: `closed`, or `open - started`; or why it is away."""
        if self.error is not None:
            return f"not reachable: {self.error}"
        return "open - started" if self.status["streams"] else "closed"

    @property
    def is_watched(self) -> bool:
        """Whether somebody looks at one of its streams."""
        return bool(self.status.get("watched"))

    @property
    def is_recording(self) -> bool:
        """Whether it records a video."""
        return self.status.get("recording") is not None

    @property
    def is_in_sequence(self) -> bool:
        """Whether it takes a series of photos."""
        return self.status.get("sequence_frame_limit") is not None


@dataclass(frozen=True)
class Looks:
    """All cameras, in the config's order, and which of them are the active and the second one."""

    all: tuple[Look, ...]
    active: Look | None
    second: Look | None

    @property
    def two(self) -> tuple[Look, ...]:
        """The active and the second camera, those that there are."""
        return tuple(look for look in (self.active, self.second) if look is not None)


def camera(services: Services, position: int) -> Link:
    """The active (0) or the second (1) camera. Raises UnknownDevice."""
    return services.links.camera(services.relays.camera(position))


async def both(services: Services, do: Callable[[Link], Awaitable[str]]) -> tuple[Outcome, Outcome]:
    """Have both cameras do something at the same time. Raises UnknownDevice, and nothing is done, if there are not two."""
    links = [camera(services, position) for position in (ACTIVE, SECOND)]

    async def one(link: Link) -> Outcome:
        try:
            return Outcome(await do(link), True)
        except ObservatoryError as error:
            return Outcome(str(error), False)

    first, second = await asyncio.gather(*(one(link) for link in links))
    return first, second


async def look(services: Services) -> Looks:
    """Ask all cameras how they are, at the same time."""

    async def one(number: int, link: Link) -> Look:
        try:
            return Look(number, link, await link.call("report_status", timeout_s=_STATUS_WITHIN_S), None)
        except ObservatoryError as error:
            return Look(number, link, {}, str(error))

    found = await asyncio.gather(*(one(number, link) for number, link in enumerate(services.links.of_kind("camera"))))
    by_name = {look.link.name: look for look in found}
    order = [by_name[name] for name in services.relays.order()]
    return Looks(tuple(found), *(order[n] if n < len(order) else None for n in (ACTIVE, SECOND)))


def info(looks: Looks, version: str, server: str) -> dict[str, Any]:
    """What the server is, its cameras, and what they do. `server` is where the client has found us."""
    active, second = looks.active, looks.second
    operation = {
        "livestream_active": active is not None and active.is_watched,
        "photoseries_recording": any(look.is_in_sequence for look in looks.two),
        "motion_capturing": False,
        "event_handling": False,
        "video_recording": active is not None and active.is_recording,
        "audio_recording": False,
    }
    if second is not None:
        operation.update(livestream2_active=second.is_watched, video_recording2=second.is_recording)
    return {
        "version": f"observatory-daemons {version}",
        "server": server,
        "active_camera": "" if active is None else active.title,
        "cameras": [
            {
                "num": look.number,
                "model": look.model,
                "is_usb": look.is_usb,
                "active": look is active,
                "status": look.state,
            }
            for look in looks.all
        ],
        "operation_status": operation,
    }
