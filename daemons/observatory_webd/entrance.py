"""The pages without which nobody gets in: login, first administrator, change of password. They work without scripts."""

# Annotations are no strings here: FastAPI resolves them.

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from observatory_common.errors import InvalidArgument, NoRoom, ObservatoryError
from observatory_webd.accounts.dependencies import EVERYBODY, identify, refusals_told, require, services_of
from observatory_webd.accounts.identity import Identity, Role
from observatory_webd.accounts.passwords import LONGEST, SHORTEST
from observatory_webd.api.session import clear_cookie, set_cookie
from observatory_webd.errors import Forbidden, NotLoggedIn, TooManyTries
from observatory_webd.lanes import Busy
from observatory_webd.templates import render

router = APIRouter(include_in_schema=False)
_LONGEST_NEXT = 1000
_Text = Annotated[str, Form(max_length=200)]
_Next = Annotated[str, Form(max_length=_LONGEST_NEXT)]
_HOME = "/"
_STATUS = {TooManyTries: 429, NotLoggedIn: 401, Forbidden: 403, Busy: 503, NoRoom: 507}


@router.get("/login", dependencies=[EVERYBODY])
async def login_page(request: Request, next: str = _HOME) -> Response:
    """The form for name and password; who is logged in goes on."""
    if identify(request) is not None:
        return RedirectResponse(_local(next), 303)
    return _page(request, "login.html", next=_local(next), needs_setup=services_of(request).accounts.first.wanted)


@router.post("/login", dependencies=[EVERYBODY])
async def login(request: Request, user: _Text = "", password: _Text = "", next: _Next = _HOME) -> Response:
    """Log in, and go where one wanted to."""
    services = services_of(request)
    old = request.cookies.get(services.cookie_name(request.scope["scheme"]))
    try:
        secret, _, found = await services.accounts.log_in(user, password, _address(request), old)
    except ObservatoryError as error:
        return _page(request, "login.html", error, next=_local(next), user=user, needs_setup=False)
    return _gone_in(request, secret, "/password" if found.must_change_password else _local(next))


@router.get("/setup", dependencies=[EVERYBODY])
async def setup_page(request: Request, token: str = "") -> Response:
    """The form for the first administrator."""
    if not services_of(request).accounts.first.wanted:
        return RedirectResponse("/login", 303)
    return _page(request, "setup.html", token=token[:100])


@router.post("/setup", dependencies=[EVERYBODY])
async def setup(request: Request, token: _Text = "", user: _Text = "", password: _Text = "", again: _Text = "") -> Response:
    """Make the first administrator, and log in."""
    try:
        if password != again:
            raise InvalidArgument("the two passwords differ")
        secret, _, _ = await services_of(request).accounts.make_first(token, user, password, _address(request))
    except ObservatoryError as error:
        return _page(request, "setup.html", error, token=token, user=user)
    return _gone_in(request, secret, _HOME)


@router.get("/password")
async def password_page(
    request: Request, identity: Annotated[Identity, Depends(require(Role.viewer, with_old_password=True))]
) -> Response:
    """The form for another password."""
    return _password_page(request, identity)


@router.post("/password", dependencies=[EVERYBODY])
async def password(
    request: Request, csrf_token: _Text = "", present: _Text = "", new: _Text = "", again: _Text = ""
) -> Response:
    """Change the own password."""
    identity = _by_cookie(request)
    if identity is None:
        return RedirectResponse("/login?next=/password", 303)
    try:
        with refusals_told(request):
            _check_form(request, identity, csrf_token)
        if new != again:
            raise InvalidArgument("the two new passwords differ")
        secret, _ = await services_of(request).accounts.change_password(identity, present, new)
    except ObservatoryError as error:
        return _password_page(request, identity, error)
    return _gone_in(request, secret, _HOME)


@router.get("/logout", dependencies=[EVERYBODY])
async def logout_page(request: Request) -> Response:
    """Asks whether to log out, which takes a POST."""
    identity = identify(request)
    if identity is None:
        return RedirectResponse("/login", 303)
    return _page(request, "logout.html", user=identity.name, csrf_token=identity.csrf_token)


@router.post("/logout", dependencies=[EVERYBODY])
async def logout(request: Request, csrf_token: _Text = "") -> Response:
    """Log out."""
    services = services_of(request)
    response = RedirectResponse("/login", 303)
    identity = _by_cookie(request)
    if identity is None:
        return response
    try:
        with refusals_told(request):
            _check_form(request, identity, csrf_token)
    except Forbidden as error:
        return _page(request, "logout.html", error, user=identity.name, csrf_token=identity.csrf_token)
    await services.accounts.log_out(identity)
    clear_cookie(request, response, services)
    return response


def _by_cookie(request: Request) -> Identity | None:
    """Whoever sends a form."""
    services = services_of(request)
    cookie = request.cookies.get(services.cookie_name(request.scope["scheme"]))
    return None if cookie is None else services.accounts.by_session(cookie, _address(request))


def _check_form(request: Request, identity: Identity, csrf_token: str) -> None:
    """Raise Forbidden unless the login's CSRF token is in the form."""
    if not services_of(request).equal(csrf_token, identity.csrf_token or ""):
        raise Forbidden("the form was made for another login; send it again from here")


def _password_page(request: Request, identity: Identity, error: ObservatoryError | None = None) -> Response:
    values = {"user": identity.name, "csrf_token": identity.csrf_token, "must_change": identity.must_change_password}
    return _page(request, "password.html", error, **values)


def _page(request: Request, template: str, error: ObservatoryError | None = None, **values: Any) -> Response:
    status = 200 if error is None else next((_STATUS[kind] for kind in _STATUS if isinstance(error, kind)), 422)
    given = {"user": "", "shortest": SHORTEST, "longest": LONGEST, **values}
    return HTMLResponse(render(template, error=error, path=request.url.path, **given), status)


def _gone_in(request: Request, secret: str, where: str) -> Response:
    response = RedirectResponse(where, 303)
    set_cookie(request, response, services_of(request), secret)
    return response


def _local(next: str) -> str:
    """A place on this server, and no other's; the start page for anything else."""
    good = next.startswith("/") and not next.startswith(("//", "/\\")) and next.isprintable() and len(next) <= _LONGEST_NEXT
    return next if good and "\\" not in next else _HOME


def _address(request: Request) -> str:
    return request.client.host if request.client else ""
