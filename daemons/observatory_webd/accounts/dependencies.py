"""What a route says about who may use it. A route that says nothing is refused when the application is built.

`require(Role.operator)` as a dependency gives the `Identity` of whoever makes the request; `PUBLIC` lets everybody in.
"""

# Annotations are no strings here: FastAPI resolves them.

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from fastapi import Depends
from fastapi.dependencies.models import Dependant
from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute, Mount

from observatory_common.arguments import shown
from observatory_common.errors import ObservatoryError
from observatory_webd.accounts.identity import Identity, Role
from observatory_webd.errors import Forbidden, NotLoggedIn, PasswordChangeRequired
from observatory_webd.services import Services

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
CSRF_HEADER = "X-CSRF-Token"
_CLIENT = "/static"


def services_of(connection: HTTPConnection) -> Services:
    """The services of the application that a request came to."""
    services: Services = connection.app.state.services
    return services


class Require:
    """A dependency that lets nobody in without a role; see `require`."""

    def __init__(self, role: Role, *, with_old_password: bool = False, public_streams: bool = False) -> None:
        self.role = role
        self.with_old_password = with_old_password
        self.public_streams = public_streams

    async def __call__(self, connection: HTTPConnection) -> Identity | None:
        """Whoever makes the request. Raises NotLoggedIn, Forbidden, PasswordChangeRequired."""
        try:
            identity = self.identify(connection)
            if identity is not None:
                self._require(identity)
            elif not (self.public_streams and services_of(connection).config.public_streams):
                raise NotLoggedIn("nobody is logged in here, or no longer")
        except ObservatoryError as error:
            if self.has_effects(connection):
                _audit(connection, error)
            raise
        return identity

    def identify(self, connection: HTTPConnection) -> Identity | None:
        """Whoever makes the request. Raises Forbidden."""
        return identify(connection)

    def has_effects(self, connection: HTTPConnection) -> bool:
        """Whether the request would change something, so that its refusal is told to the audit."""
        return connection.scope["type"] == "http" and connection.scope["method"] not in _SAFE

    def _require(self, identity: Identity) -> None:
        if identity.must_change_password and not self.with_old_password:
            raise PasswordChangeRequired(f"{identity.name} has to change the password first", value=identity.name)
        if identity.role < self.role:
            raise Forbidden(
                f"{identity.name} may not do this from {identity.address}: it takes the role {self.role.name}",
                value=identity.role.name,
                allowed=self.role.name,
            )


class RequireBearer(Require):
    """A dependency that lets in by a bearer token alone, of which `identified_by` says whose it is (or raises NotLoggedIn).

    For an API whose GETs have effects: a browser sends its cookies with whatever a page of others has it fetch, but no token.
    """

    def __init__(self, role: Role, identified_by: Callable[[HTTPConnection], Identity]) -> None:
        super().__init__(role)
        self._identified_by = identified_by

    def identify(self, connection: HTTPConnection) -> Identity:
        """Whoever's token is sent. Raises NotLoggedIn."""
        return self._identified_by(connection)

    def has_effects(self, connection: HTTPConnection) -> bool:
        """Whatever takes more than looking."""
        return self.role > Role.viewer


class Public:
    """A dependency that says that everybody may use a route."""

    async def __call__(self) -> None:
        """Everybody may."""


PUBLIC = Public()


def require(role: Role, *, with_old_password: bool = False) -> Require:
    """Let only those in who have this role; `with_old_password`: also who has to change the password first."""
    return Require(role, with_old_password=with_old_password)


def require_to_look() -> Require:
    """For streams: viewers, and everybody (None then) where the config makes streams public."""
    return Require(Role.viewer, public_streams=True)


def identify(connection: HTTPConnection) -> Identity | None:
    """Whoever makes the request, by a bearer token or by the login's cookie.

    Raises Forbidden for a request with effects that comes with the cookie but without the login's CSRF token: pages of
    others make a browser send its cookies, but cannot read the token.
    """
    services = services_of(connection)
    address = address_of(connection)
    secret = bearer_of(connection)
    if secret is not None:
        return services.accounts.by_token(secret, address)
    cookie = connection.cookies.get(services.cookie_name(connection.scope["scheme"]))
    identity = None if cookie is None else services.accounts.by_session(cookie, address)
    if identity is not None and connection.scope["type"] == "http" and connection.scope["method"] not in _SAFE:
        given, expected = connection.headers.get(CSRF_HEADER, ""), identity.csrf_token or ""
        if not services.equal(given, expected):
            raise Forbidden(f"the header {CSRF_HEADER} does not hold this login's token, as GET /api/v1/session tells it")
    return identity


def address_of(connection: HTTPConnection) -> str:
    """From where a request comes."""
    return connection.client.host if connection.client else ""


def bearer_of(connection: HTTPConnection) -> str | None:
    """The bearer token that a request brings."""
    kind, _, secret = connection.headers.get("authorization", "").partition(" ")
    return secret.strip() if kind.lower() == "bearer" else None


@contextlib.contextmanager
def refusals_told(connection: HTTPConnection) -> Iterator[None]:
    """For what a route with effects refuses by itself: the audit is told, as of what its dependency refuses."""
    try:
        yield
    except (NotLoggedIn, Forbidden) as error:
        _audit(connection, error)
        raise


def _audit(connection: HTTPConnection, error: ObservatoryError) -> None:
    """One line for each refusal of what would have had an effect."""
    what = f"{connection.scope['method']} {shown(connection.scope['path'])}"
    services_of(connection).accounts.audit.refused(address_of(connection), what, int(error.code), str(error))


def routes_of(routes: Iterable[BaseRoute]) -> Iterator[BaseRoute]:
    """All routes, those of included routers too."""
    for route in routes:
        included = getattr(route, "original_router", None)
        if included is None:
            yield route
        else:
            yield from routes_of(included.routes)


def declared(route: BaseRoute) -> Require | Public | None:
    """What a route says about who may use it."""
    if isinstance(route, Mount) and route.path == _CLIENT:
        return PUBLIC
    dependant = getattr(route, "dependant", None)
    found = [] if dependant is None else list(_guards(dependant))
    return found[0] if len(found) == 1 else None


def check(routes: Iterable[BaseRoute]) -> None:
    """Raise TypeError for a route that says nothing, or two things, about who may use it."""
    for route in routes_of(routes):
        if declared(route) is None:
            raise TypeError(
                f"{getattr(route, 'path', route)} declares no role: one `require(...)` or PUBLIC among its dependencies"
            )


def _guards(dependant: Dependant) -> Iterator[Require | Public]:
    for dependency in dependant.dependencies:
        call: Any = dependency.call
        if isinstance(call, (Require, Public)):
            yield call
        yield from _guards(dependency)


VIEWER = Depends(require(Role.viewer))
OPERATOR = Depends(require(Role.operator))
ADMINISTRATOR = Depends(require(Role.administrator))
EVERYBODY = Depends(PUBLIC)
