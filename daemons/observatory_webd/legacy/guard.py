"""Who uses raspiCamSrv's API: whoever brings its access token, or a token of ours. Cookies count for nothing."""

# Annotations are no strings here: FastAPI resolves them.

from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from observatory_webd.accounts.dependencies import RequireBearer, address_of, bearer_of, services_of
from observatory_webd.accounts.identity import Identity, Role
from observatory_webd.accounts.script_logins import Kind
from observatory_webd.accounts.tokens import PREFIX
from observatory_webd.errors import TokenRefused


def _identified(connection: HTTPConnection, kind: Kind) -> Identity:
    given = bearer_of(connection)
    if given is None:
        has_header = "authorization" in connection.headers
        expected = "Missing 'Bearer' type in 'Authorization' header. Expected 'Authorization: Bearer <JWT>'"
        raise TokenRefused(expected if has_header else "Missing Authorization Header")
    accounts, address = services_of(connection).accounts, address_of(connection)
    if given.startswith(PREFIX):
        identity = accounts.by_token(given, address)
    else:
        identity = accounts.of_token(accounts.script_logins.find(given, kind), address)
    if identity is None:
        raise TokenRefused("Token has been revoked")
    return identity


def _by_access(connection: HTTPConnection) -> Identity:
    return _identified(connection, "access")


def _by_refresh(connection: HTTPConnection) -> Identity:
    return _identified(connection, "refresh")


Viewer = Annotated[Identity, Depends(RequireBearer(Role.viewer, _by_access))]
Operator = Annotated[Identity, Depends(RequireBearer(Role.operator, _by_access))]
Refresher = Annotated[Identity, Depends(RequireBearer(Role.viewer, _by_refresh))]
