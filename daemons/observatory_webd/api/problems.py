"""Every error as `application/problem+json` (RFC 9457), with the suite's code beside the status."""

from __future__ import annotations

import json
import logging
import uuid
from typing import TYPE_CHECKING, Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.websockets import WebSocket, WebSocketState

from observatory_common import errors
from observatory_common.arguments import shown
from observatory_common.errors import CommandStatus, ObservatoryError
from observatory_webd import errors as web
from observatory_webd.lanes import Busy
from observatory_webd.templates import render

if TYPE_CHECKING:
    from fastapi import FastAPI

log = logging.getLogger("webd")

MEDIA_TYPE = "application/problem+json"
_STATUS: dict[type[ObservatoryError], int] = {
    web.NotLoggedIn: 401,
    web.Forbidden: 403,
    web.TooManyTries: 429,
    web.AlreadyThere: 409,
    web.NotThere: 404,
    Busy: 503,
    errors.InvalidArgument: 422,
    errors.PositionOutsideLimits: 422,
    errors.WindowOutsideSensor: 422,
    errors.InvalidChannel: 404,
    errors.UnknownDevice: 404,
    errors.UnknownJob: 404,
    errors.UnknownMethod: 404,
    errors.Stale: 410,
    errors.InvalidControlIP: 502,  # the daemon refuses this gateway, whoever its user is
    errors.DaemonNotReachable: 503,
    errors.TimedOut: 504,
    errors.NoRoom: 507,
}
_REFUSED = 1008  # of a WebSocket; one that is not open yet is answered with 403
_OTHERWISE = 409  # understood and allowed, but the device cannot do it now
_MOST_COMPLAINTS = 20


def add_handlers(app: FastAPI) -> None:
    """Have all errors of an application told as problems."""

    async def refused(connection: HTTPConnection, error: Exception) -> Response | None:
        assert isinstance(error, ObservatoryError)
        if isinstance(connection, WebSocket):
            if connection.application_state is not WebSocketState.DISCONNECTED:
                await connection.close(_REFUSED, str(error)[:100])
            return None
        assert isinstance(connection, Request)
        return _page_instead(connection, error) or of_error(error)

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == 404 and _is_for_a_person(request):
            return _told(404, "There is no such page.")
        return problem(error.status_code, str(error.detail), headers=dict(error.headers or {}))

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return _invalid(error)

    async def unexpected(request: Request, error: Exception) -> Response:
        reference = uuid.uuid4().hex[:8]
        log.error("internal error in %s %s, reference %s", request.method, request.url.path, reference)
        return problem(500, f"internal error, reference {reference}: webd's log has the details")

    app.add_exception_handler(ObservatoryError, refused)  # type: ignore[arg-type]
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(Exception, unexpected)


def of_error(error: ObservatoryError) -> Response:
    """The answer to a request that failed with one of our errors."""
    status = next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), _OTHERWISE)
    headers = {}
    if isinstance(error, web.TooManyTries):
        headers["retry-after"] = str(int(error.retry_after_s) + 1)
    elif isinstance(error, Busy):
        headers["retry-after"] = "1"
    elif isinstance(error, web.NotLoggedIn):
        headers["www-authenticate"] = "Bearer"
    more = {"code": int(error.code), "error": type(error).__name__, "value": _plain(error.value), "allowed": error.allowed}
    return problem(status, str(error), headers=headers, title=_title(error), more=more)


def problem(
    status: int,
    detail: str,
    *,
    headers: dict[str, str] | None = None,
    title: str | None = None,
    more: dict[str, Any] | None = None,
) -> Response:
    """A problem as a response."""
    from http import HTTPStatus

    content = {
        "type": "about:blank",
        "title": title or HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        **(more or {}),
    }
    body = json.dumps(content, ensure_ascii=True).encode()
    return Response(body, status, headers, MEDIA_TYPE)


def _invalid(error: RequestValidationError) -> Response:
    complaints = [
        {"at": "/".join(map(str, one["loc"])), "message": one["msg"], "value": shown(one.get("input"))}
        for one in error.errors()[:_MOST_COMPLAINTS]
    ]
    detail = "; ".join(f"{one['at']}: {one['message']}" for one in complaints)
    more = {"code": int(CommandStatus.InvalidArgument), "error": "InvalidArgument", "problems": complaints}
    return problem(422, detail, title=CommandStatus.InvalidArgument.text, more=more)


def _page_instead(request: Request, error: ObservatoryError) -> Response | None:
    """What a person gets who may not see a page: the login, or why not."""
    if not _is_for_a_person(request):
        return None
    if isinstance(error, web.PasswordChangeRequired):
        return RedirectResponse("/password", 303)
    if isinstance(error, web.Forbidden):
        return _told(403, str(error))
    if isinstance(error, web.NotLoggedIn):
        from urllib.parse import quote

        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/login?next={quote(path, safe='')}", 303)
    return None


def _is_for_a_person(request: Request) -> bool:
    """Whether somebody asks for a page by a browser, and not a script."""
    is_page = request.method in ("GET", "HEAD") and not request.url.path.startswith("/api/")
    return is_page and "text/html" in request.headers.get("accept", "")


def _told(status: int, detail: str) -> Response:
    return HTMLResponse(render("refused.html", error=detail), status)


def _title(error: ObservatoryError) -> str | None:
    if type(error).__module__ == web.__name__:
        return None
    return next((status.text for status in CommandStatus if status == error.code), None)


def _plain(value: Any) -> Any:
    return value if type(value) in (str, int, bool, type(None)) else shown(value)
