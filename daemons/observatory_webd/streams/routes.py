"""The addresses of the streams: raspiCamSrv's, and those of every camera under /api/v1."""

# Annotations are no strings here: FastAPI could not resolve those that name a local.

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, WebSocket
from starlette.requests import HTTPConnection
from starlette.responses import Response

from observatory_common.errors import InvalidArgument, ObservatoryError, UnknownDevice
from observatory_webd.streams.items import timestamp
from observatory_webd.streams.relay import Client
from observatory_webd.streams.relays import Relays
from observatory_webd.streams.responses import STREAM_HEADERS, MjpegResponse, close_socket, serve_socket

#: How long the first picture is waited for before the answer is an error.
FIRST_PICTURE_S = 5.0
_REFUSED = 1008

_ACTIVE, _SECOND = 0, 1
#: raspiCamSrv's streams (MJPEG) and snapshots: the camera's position, the use case.
VIDEO_FEEDS = {"/video_feed": (_ACTIVE, "live"), "/video_feed2": (_SECOND, "live")}
PHOTO_FEEDS = {
    "/photo_feed": (_ACTIVE, "live"),
    "/photo_feed2": (_SECOND, "live"),
    "/photo_feed_hr": (_ACTIVE, "photo"),
    "/photo_feed2_hr": (_SECOND, "photo"),
}
_MJPEG_DOCS = {200: {"content": {"multipart/x-mixed-replace": {}}, "description": "JPEG pictures, until the client leaves"}}
_JPEG_DOCS = {200: {"content": {"image/jpeg": {}}, "description": "The newest picture"}}


def make_router(may_look: Callable[..., Any], relays_of: Callable[[HTTPConnection], Relays]) -> APIRouter:
    """The routes. `may_look` is the dependency that refuses who may not; what it returns is kept as the viewer's user
    (None: everybody may look).

    It is used for WebSockets too, so it takes an HTTPConnection. Errors are raised as ObservatoryError.
    """
    router = APIRouter(tags=["streams"])
    user_of = Annotated[Any, Depends(may_look)]
    base = "/api/v1/cameras/{name}/streams/{stream}"

    def add(path: str, endpoint: Callable[..., Any], head: Callable[..., Any], **options: Any) -> None:
        router.add_api_route(path, endpoint, methods=["GET"], response_class=Response, **options)
        router.add_api_route(path, head, methods=["HEAD"], include_in_schema=False)

    async def mjpeg_head(user: user_of) -> Response:
        return _head(MjpegResponse.media_type)

    async def jpeg_head(user: user_of) -> Response:
        return _head("image/jpeg")

    def add_feed(path: str, position: int, use_case: str) -> None:
        async def video_feed(request: Request, user: user_of) -> Response:
            relays = relays_of(request)
            return await _mjpeg(relays, relays.camera(position), use_case, _client(request, user, "mjpeg"))

        async def photo_feed(request: Request, user: user_of) -> Response:
            relays = relays_of(request)
            return await _snapshot(relays, relays.camera(position), use_case, user)

        endings = (video_feed, mjpeg_head) if path in VIDEO_FEEDS else (photo_feed, jpeg_head)
        add(path, *endings, include_in_schema=False)

    for path, (position, use_case) in {**VIDEO_FEEDS, **PHOTO_FEEDS}.items():
        add_feed(path, position, use_case)

    async def stream_mjpeg(name: str, stream: str, request: Request, user: user_of) -> Response:
        """A camera's stream (or the stream of its use case, as `live`) as MJPEG, which an `img` shows."""
        return await _mjpeg(relays_of(request), name, stream, _client(request, user, "mjpeg"))

    async def stream_snapshot(name: str, stream: str, request: Request, user: user_of) -> Response:
        """The newest picture of a camera's stream."""
        return await _snapshot(relays_of(request), name, stream, user)

    add(f"{base}/mjpeg", stream_mjpeg, mjpeg_head, responses=_MJPEG_DOCS)
    add(f"{base}/snapshot.jpg", stream_snapshot, jpeg_head, responses=_JPEG_DOCS)

    @router.websocket(f"{base}/ws")
    async def stream_socket(socket: WebSocket, name: str, stream: str, user: user_of, codec: str = "jpeg") -> None:
        """Pictures (`codec=jpeg`) or H.264 access units (`codec=h264`), see docs/live-streams.md.

        That a page of ours opens it is checked before any route is reached.
        """
        await socket.accept()
        client = _client(socket, user, f"ws-{codec}")
        try:
            relay = relays_of(socket).relay(name, stream, codec)
            with relay.interest():
                await relay.latest(FIRST_PICTURE_S)
            relays_of(socket).require_place(client)
        except (UnknownDevice, InvalidArgument) as error:
            await close_socket(socket, str(error), _REFUSED)
        except ObservatoryError as error:
            await close_socket(socket, str(error))
        else:
            await serve_socket(socket, relay, client)

    return router


async def _mjpeg(relays: Relays, camera: str, stream: str, client: Client) -> Response:
    relay = relays.relay(camera, stream)
    with relay.interest():
        await relay.latest(FIRST_PICTURE_S)
    relays.require_place(client)  # only now: nothing is awaited from here until it has its place
    response = MjpegResponse(relay, client)
    response.headers.update(_shared(client.user))
    return response


async def _snapshot(relays: Relays, camera: str, stream: str, user: object) -> Response:
    relay = relays.relay(camera, stream)
    with relay.interest():
        item = await relay.latest(FIRST_PICTURE_S)
    headers = {"Cache-Control": "no-store", **_shared(user)}
    if item.timestamp_us:
        headers["X-Timestamp"] = timestamp(item)
    return Response(item.data, media_type="image/jpeg", headers=headers)


def _client(connection: HTTPConnection, user: object, transport: str) -> Client:
    return Client(user, connection.client.host if connection.client else None, transport)


def _shared(user: object) -> dict[str, str]:
    """What everybody may look at may be shown in the pages of others too, as raspiCamSrv's users do."""
    return {"Cross-Origin-Resource-Policy": "cross-origin"} if user is None else {}


def _head(media_type: str | None) -> Response:
    """The headers of a stream, without looking at the camera."""
    response = Response(media_type=media_type, headers=STREAM_HEADERS)
    del response.headers["content-length"]
    return response
