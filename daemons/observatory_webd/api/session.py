"""Logging in and out, the own password, the first administrator."""

# Annotations are no strings here: FastAPI resolves them.

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from observatory_common import timestamps
from observatory_webd.accounts.dependencies import EVERYBODY, require, services_of
from observatory_webd.accounts.identity import Identity, Role, User
from observatory_webd.accounts.sessions import Session
from observatory_webd.api.models import Login, PasswordChange, Setup
from observatory_webd.services import Services

router = APIRouter(prefix="/api/v1", tags=["session"])
_Anybody = Annotated[Identity, Depends(require(Role.viewer, with_old_password=True))]


@router.get("/session")
async def session(identity: _Anybody) -> dict[str, Any]:
    """Who is logged in, and the CSRF token to be sent with requests that have effects."""
    return _told(identity.name, identity.role, identity.must_change_password, identity.csrf_token)


@router.post("/session", dependencies=[EVERYBODY])
async def log_in(body: Login, request: Request, response: Response) -> dict[str, Any]:
    """Log in: sets the cookie, answers with the CSRF token. After 5 wrong passwords an address waits a minute."""
    services = services_of(request)
    old = request.cookies.get(services.cookie_name(request.scope["scheme"]))
    secret, session, user = await services.accounts.log_in(body.user, body.password, _address(request), old)
    set_cookie(request, response, services, secret)
    return _opened(services, request, session, user)


@router.post("/session/end")
async def log_out(request: Request, response: Response, identity: _Anybody) -> dict[str, Any]:
    """Log out."""
    services = services_of(request)
    await services.accounts.log_out(identity)
    clear_cookie(request, response, services)
    return {"user": None}


@router.post("/setup", dependencies=[EVERYBODY])
async def setup(body: Setup, request: Request, response: Response) -> dict[str, Any]:
    """Make the first administrator with the token of the one-time link, and log in."""
    services = services_of(request)
    secret, session, user = await services.accounts.make_first(body.token, body.user, body.password, _address(request))
    set_cookie(request, response, services, secret)
    return _opened(services, request, session, user)


@router.post("/password")
async def change_password(body: PasswordChange, request: Request, response: Response, identity: _Anybody) -> dict[str, Any]:
    """Change the own password. All logins end, and this one goes on under another cookie and CSRF token."""
    services = services_of(request)
    secret, session = await services.accounts.change_password(identity, body.present, body.new)
    if identity.session is not None:
        set_cookie(request, response, services, secret)
    return _told(identity.name, identity.role, False, session.csrf_token)


def set_cookie(request: Request, response: Response, services: Services, secret: str) -> None:
    """Have the browser keep a login."""
    secure = request.scope["scheme"] == "https"
    response.set_cookie(
        services.cookie_name(request.scope["scheme"]),
        secret,
        max_age=int(services.config.session.absolute_s),
        path="/",
        secure=secure,
        httponly=True,
        samesite="lax",
    )


def clear_cookie(request: Request, response: Response, services: Services) -> None:
    """Have the browser forget the login."""
    secure = request.scope["scheme"] == "https"
    name = services.cookie_name(request.scope["scheme"])
    response.delete_cookie(name, path="/", secure=secure, httponly=True, samesite="lax")


def _opened(services: Services, request: Request, session: Session, user: User) -> dict[str, Any]:
    identity = services.accounts.identity_of(user, _address(request))
    return _told(identity.name, identity.role, identity.must_change_password, session.csrf_token)


def _told(name: str, role: Role, must_change_password: bool, csrf_token: str | None) -> dict[str, Any]:
    return {
        "user": name,
        "role": role.name,
        "must_change_password": must_change_password,
        "csrf_token": csrf_token,
        "date": timestamps.utc_now(),
    }


def _address(request: Request) -> str:
    return request.client.host if request.client else ""
