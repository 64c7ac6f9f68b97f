"""raspiCamSrv's form of answers and errors, on every route of its API."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from observatory_common.arguments import shown
from observatory_common.errors import ObservatoryError
from observatory_webd.errors import Forbidden, NotLoggedIn, PasswordChangeRequired, TokenRefused, TooManyTries
from observatory_webd.lanes import Busy

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

_FAILED = 500  # whatever a camera cannot do


class BadRequest(ValueError):
    """The body of a request is not what is expected."""


class LegacyRoute(APIRoute):
    """A route whose errors are told as raspiCamSrv does: `{"message": ...}`, of a login `error`, of a token `msg`."""

    error_key = "message"

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        """What answers a request."""
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except BadRequest as error:
                return self._told(400, str(error))
            except ObservatoryError as error:
                return self._refused(error)
            except HTTPException as error:  # too long, too slow
                return self._told(error.status_code, str(error.detail), dict(error.headers or {}))

        return answer

    def _refused(self, error: ObservatoryError) -> Response:
        if isinstance(error, TokenRefused):
            return JSONResponse({"msg": str(error)}, error.status)
        if isinstance(error, TooManyTries):
            return self._told(429, str(error), {"Retry-After": str(int(error.retry_after_s) + 1)})
        if isinstance(error, (NotLoggedIn, PasswordChangeRequired)):
            return self._told(401, str(error))
        if isinstance(error, Forbidden):
            return self._told(403, str(error))
        if isinstance(error, Busy):
            return self._told(_FAILED, str(error), {"Retry-After": "1"})
        return self._told(_FAILED, str(error))

    def _told(self, status: int, text: str, headers: dict[str, str] | None = None) -> Response:
        return JSONResponse({self.error_key: text}, status, headers)


class LoginRoute(LegacyRoute):
    """The route of the login."""

    error_key = "error"


def message(content: Any) -> Response:
    """An answer to what has been done."""
    return JSONResponse({"message": content})


def failed(content: Any) -> Response:
    """An answer to what could not be done."""
    return JSONResponse({"message": content}, _FAILED)


async def body_of(request: Request) -> dict[str, Any]:
    """The JSON object in a request, of whatever method and media type. Raises BadRequest."""
    try:
        found = json.loads(await request.body())
        json.dumps(found, ensure_ascii=False).encode()  # halves of surrogate pairs are no text
    except (ValueError, RecursionError):
        raise BadRequest("the request must have a JSON object as its body") from None
    if not isinstance(found, dict):
        raise BadRequest(f"the body is {shown(found)}, expected a JSON object")
    return found
