"""The API of raspiCamSrv under /api: its paths, methods, inputs and answers. See docs/raspicamsrv-api.md."""

# Annotations are no strings here: FastAPI resolves them.

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from observatory_common import arguments
from observatory_common.errors import Blocked, InvalidArgument
from observatory_webd.accounts.dependencies import EVERYBODY, address_of, bearer_of, services_of
from observatory_webd.accounts.identity import Identity
from observatory_webd.legacy import probing, taking
from observatory_webd.legacy.answers import BadRequest, LegacyRoute, LoginRoute, body_of, failed, message
from observatory_webd.legacy.cameras import ACTIVE, SECOND, Outcome, both, camera, look
from observatory_webd.legacy.cameras import info as about
from observatory_webd.legacy.guard import Operator, Refresher, Viewer
from observatory_webd.links.link import Link
from observatory_webd.store.active import ActiveCameras

_LONGEST_TEXT = 200
_LONGEST_S = 7 * 86400.0
_SHORTEST_S = 0.1
_NO_MOTION = "motion capture and event handling do not exist here yet"
_PHOTOS = ("Photo1", "Photo2")
_VIDEOS = ("Video 1", "Video 2")

router = APIRouter(prefix="/api", route_class=LegacyRoute, include_in_schema=False)


async def login(request: Request) -> Response:
    """An access and a refresh token for a name and a password."""
    body = await body_of(request)
    name, password = _text(body, "username"), _text(body, "password")
    access, refresh = await services_of(request).accounts.log_in_script(name, password, address_of(request))
    return JSONResponse({"access_token": access} | ({} if refresh is None else {"refresh_token": refresh}))


router.add_api_route("/login", login, methods=["POST"], dependencies=[EVERYBODY], route_class_override=LoginRoute)


@router.post("/refresh")
async def refresh(request: Request, identity: Refresher) -> Response:
    """Another access token, for a refresh token."""
    return JSONResponse({"access_token": services_of(request).accounts.script_logins.refreshed(bearer_of(request) or "")})


@router.get("/protected")
async def protected(identity: Viewer) -> Response:
    """Whether the token is good."""
    return message(f"Hello, {identity.name}!")


# photos


def _add_photo(path: str, position: int, take: Callable[[Link, Identity], Awaitable[str]], said: str) -> None:
    @router.get(path)
    async def take_one(request: Request, identity: Operator) -> Response:
        return message(f"{said} taken: {await take(camera(services_of(request), position), identity)}")


def _add_photos(path: str, take: Callable[[Link, Identity], Awaitable[str]]) -> None:
    @router.get(path)
    async def take_two(request: Request, identity: Operator) -> Response:
        return _told(_PHOTOS, await both(services_of(request), lambda link: take(link, identity)))


_add_photo("/take_photo", ACTIVE, taking.photo, "Photo")
_add_photo("/take_photo2", SECOND, taking.photo, "Photo")
_add_photos("/take_photo_both", taking.photo)
_add_photo("/take_raw_photo", ACTIVE, taking.raw_photo, "Raw photo")
_add_photo("/take_raw_photo2", SECOND, taking.raw_photo, "Photo")
_add_photos("/take_raw_photo_both", taking.raw_photo)


# video


def _add_video(ending: str, position: int) -> None:
    @router.get(f"/record_video{ending}")
    async def record(request: Request, identity: Operator) -> Response:
        duration_s = await _duration_s(request)
        path = await taking.record(camera(services_of(request), position), identity, duration_s)
        return message(f"Video recorded to {path}")

    @router.get(f"/stop_video{ending}")
    async def stop(request: Request, identity: Operator) -> Response:
        return message(_stopped(await taking.stop(camera(services_of(request), position), identity)))


_add_video("", ACTIVE)
_add_video("2", SECOND)


@router.get("/record_video_both")
async def record_both(request: Request, identity: Operator) -> Response:
    """Record with both."""
    duration_s = await _duration_s(request)
    return _told(_VIDEOS, await both(services_of(request), lambda link: taking.record(link, identity, duration_s)))


@router.get("/stop_video_both")
async def stop_both(request: Request, identity: Operator) -> Response:
    """End both recordings."""
    return _told(_VIDEOS, await both(services_of(request), lambda link: taking.stop(link, identity)), _stopped)


# what raspiCamSrv does besides


@router.get("/start_triggered_capture")
async def start_triggered_capture(identity: Operator) -> Response:
    """Not here yet."""
    return failed(_NO_MOTION)


@router.get("/stop_triggered_capture")
async def stop_triggered_capture(identity: Operator) -> Response:
    """Not here yet."""
    return failed(_NO_MOTION)


@router.get("/switch_cameras")
async def switch_cameras(request: Request, identity: Operator) -> Response:
    """The second camera becomes the active one, and the active one the second."""
    services = services_of(request)
    looks = await look(services)  # one that is away does not record: to be rid of it is a reason to switch
    for found in looks.two:
        if found.is_recording:
            raise Blocked(f"{found.title} records a video: stop it first", value=found.link.name)
    switcher = ActiveCameras(services.settings, services.relays.cameras)
    active, _ = await services.accounts.aside(switcher.switch)
    services.accounts.audit.accepted(str(identity), "switch_cameras", "", active)
    return message("Active camera is now " + next(found.title for found in looks.all if found.link.name == active))


@router.get("/info")
async def info(request: Request, identity: Viewer) -> Response:
    """The server, its cameras, and what they do."""
    services = services_of(request)
    return message(about(await look(services), services.context.software_version, request.headers.get("host", "")))


@router.get("/probe")
async def probe(request: Request, identity: Viewer) -> Response:
    """Values of some of raspiCamSrv's properties."""
    wanted = (await body_of(request)).get("properties")
    return JSONResponse({"results": await probing.probe(services_of(request), probing.checked(wanted))})


def _text(body: dict[str, Any], key: str) -> str:
    """A text of the body. Raises BadRequest."""
    found = body.get(key)
    if not isinstance(found, str) or len(found) > _LONGEST_TEXT:
        raise BadRequest(f"the body must have {key}, a text of at most {_LONGEST_TEXT} characters")
    return found


def _stopped(path: str) -> dict[str, str]:
    return {"Video": path, "Status": "Stopped"}


def _told(names: tuple[str, str], outcomes: tuple[Outcome, Outcome], shape: Callable[[str], Any] = str) -> Response:
    told = {name: shape(found.text) if found.is_good else found.text for name, found in zip(names, outcomes, strict=True)}
    return message(told) if all(found.is_good for found in outcomes) else failed(told)


async def _duration_s(request: Request) -> float | None:
    """For how long to record; None: until stopped. Raises BadRequest."""
    given = (await body_of(request)).get("duration", 0)
    if given is None or (given == 0 and not isinstance(given, bool)):
        return None
    try:
        return arguments.number("duration", given, _SHORTEST_S, _LONGEST_S)
    except InvalidArgument as error:
        raise BadRequest(str(error)) from None
