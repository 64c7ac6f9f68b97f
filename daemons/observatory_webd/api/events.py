"""Every daemon's status when it changes, and its events: as server-sent events, and over a WebSocket."""

# Annotations are no strings here: FastAPI resolves them.

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request, WebSocket
from starlette.responses import Response, StreamingResponse
from starlette.websockets import WebSocketDisconnect

from observatory_webd.accounts.dependencies import require, services_of
from observatory_webd.accounts.identity import Identity, Role
from observatory_webd.lanes import Busy
from observatory_webd.links.feed import Happening
from observatory_webd.places import require_place
from observatory_webd.services import Services
from observatory_webd.streams.responses import close_socket
from observatory_webd.streams.sink import sink_of

router = APIRouter(prefix="/api/v1", tags=["system"])
_LOOKED_AT_EVERY_S = 4.0
_TAKEN_WITHIN_S = 30.0
_REFUSED = 1008
#: An event's name, its data, its id.
_Message = tuple[str, dict[str, Any], str | None]
_ALIVE: _Message = ("alive", {}, None)
_DOCS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {}}, "description": "events, until the client leaves"}
}


@router.get("/events", response_class=Response, responses=_DOCS)
async def events(
    request: Request,
    identity: Annotated[Identity, Depends(require(Role.viewer))],
    last_event_id: Annotated[str, Header(max_length=100)] = "",
) -> Response:
    """Events `status` (of a daemon: as GET /cameras/{name} answers), `event` (`source`, `name`, `data`), `session`, `lost`.

    `source` is kind/name. It begins with who listens (`user`, `role`; told again when it changes) and the status of each
    daemon; whoever names the id of the last event that came goes on after it. It ends when the login does.
    """
    services = services_of(request)
    require_place(services.links.feed.listening_now, identity.user_id, "clients listen to events")
    return StreamingResponse(_lines(services, identity, last_event_id), media_type="text/event-stream")


@router.websocket("/events/ws")
async def events_socket(
    socket: WebSocket,
    identity: Annotated[Identity, Depends(require(Role.viewer))],
    last_event_id: Annotated[str, Query(max_length=100)] = "",
) -> None:
    """The same as JSON texts, {"event", "id", "data"}; `alive` when there is nothing to tell for 4 s.

    For pages: a browser has six connections per host for everything but WebSockets. It is closed with 1008 when the login
    ends, with 1013 when too many listen.
    """
    services = services_of(socket)
    await socket.accept()
    try:
        require_place(services.links.feed.listening_now, identity.user_id, "clients listen to events")
    except Busy as error:
        await close_socket(socket, str(error))
        return
    telling = asyncio.ensure_future(_tell(socket, services, identity, last_event_id))
    leaving = asyncio.ensure_future(_left(socket))
    try:
        await asyncio.wait((telling, leaving), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (telling, leaving):
            task.cancel()
        await asyncio.gather(telling, leaving, return_exceptions=True)
    if not telling.cancelled():
        telling.result()  # raises what only a bug can have raised


async def _tell(socket: WebSocket, services: Services, identity: Identity, last_event_id: str) -> None:
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):  # the client was faster
        try:
            async with contextlib.aclosing(_news(services, identity, last_event_id)) as news:
                async for messages in news:
                    for name, data, id in messages or [_ALIVE]:
                        text = json.dumps({"event": name, "id": id, "data": data}, separators=(",", ":"))
                        async with asyncio.timeout(_TAKEN_WITHIN_S):
                            await socket.send_text(text)
        except TimeoutError:
            sink_of(socket.scope).abort()
            return
        if services.links.feed.closed:
            await close_socket(socket, "webd ends")
        else:
            await close_socket(socket, "the login has ended, or may do less", _REFUSED)


async def _left(socket: WebSocket) -> None:
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


async def _lines(services: Services, identity: Identity, last_event_id: str) -> AsyncIterator[bytes]:
    yield b"retry: 2000\n\n"
    async with contextlib.aclosing(_news(services, identity, last_event_id)) as news:
        async for messages in news:
            yield b"".join(_line(*message) for message in messages) or b": nothing new\n\n"


async def _news(services: Services, identity: Identity, last_event_id: str) -> AsyncGenerator[list[_Message]]:
    """What a listener is told, until the login ends; nothing now and then, so that a lost connection is noticed.

    Who does not take it in time misses the oldest: the feed holds so many, for all.
    """
    feed, run = services.links.feed, services.context.boot_id
    known, _, number = last_event_id.partition("-")
    goes_on = known == run[:8] and number.isdecimal() and len(number) < 16
    after = int(number) if goes_on else feed.last
    with feed.listening(identity.user_id) as news:
        session, id = _session(services, identity), f"{run[:8]}-{after}"  # so that one can go on after it
        first: list[_Message] = [("session", session, id), *(("status", link.to_wire(), None) for link in services.links)]
        if last_event_id and not goes_on:
            first.append(("lost", {"count": None}, None))
        yield first
        while not feed.closed and services.accounts.is_valid(identity):
            news.clear()
            messages: list[_Message] = []
            before, session = session, _session(services, identity)
            if session != before:
                messages.append(("session", session, None))
            after, lost, found = feed.after(after)
            if lost:
                messages.append(("lost", {"count": lost}, None))
            messages += (_told(item, run) for item in found)
            if messages:
                yield messages
                continue
            try:
                async with asyncio.timeout(_LOOKED_AT_EVERY_S):
                    await news.wait()
            except TimeoutError:
                yield []


def _session(services: Services, identity: Identity) -> dict[str, Any]:
    """Who listens, and what that user may do now; a token's role does not grow."""
    user = None if identity.token_id is not None else services.accounts.users.by_id(identity.user_id)
    now = identity if user is None else services.accounts.identity_of(user, identity.address)
    return {"user": now.name, "role": now.role.name}


def _told(item: Happening, run: str) -> _Message:
    id = f"{run[:8]}-{item.number}"
    if item.name == "status":
        return "status", item.data, id
    return "event", {"source": item.source, "name": item.name, "data": item.data}, id


def _line(name: str, data: dict[str, Any], id: str | None) -> bytes:
    numbered = f"id: {id}\n" if id is not None else ""
    return f"{numbered}event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()
