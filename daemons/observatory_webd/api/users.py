"""Users and the tokens of scripts."""

# Annotations are no strings here: FastAPI resolves them.

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request

from observatory_common import timestamps
from observatory_webd.accounts.dependencies import refusals_told, require, services_of
from observatory_webd.accounts.identity import Identity, Role, User
from observatory_webd.accounts.tokens import Token
from observatory_webd.accounts.users import Users
from observatory_webd.api.models import GivenPassword, NewRole, NewToken, NewUser
from observatory_webd.errors import Forbidden

router = APIRouter(prefix="/api/v1", tags=["users"])
_Administrator = Annotated[Identity, Depends(require(Role.administrator))]
_Viewer = Annotated[Identity, Depends(require(Role.viewer))]
_Name = Annotated[str, Path(max_length=60)]
_Id = Annotated[int, Path(ge=1, lt=2**63)]


@router.get("/users")
async def users(request: Request, identity: _Administrator) -> list[dict[str, Any]]:
    """All users; `last_login` is null if none is known of the last 180 days."""
    found = services_of(request).accounts.users
    return [_user(found, user) for user in found.all()]


@router.post("/users")
async def add_user(body: NewUser, request: Request, identity: _Administrator) -> dict[str, Any]:
    """A new user, who has to change the password at the first login."""
    accounts = services_of(request).accounts
    return _user(accounts.users, await accounts.add_user(identity, body.user, Role[body.role], body.password))


@router.post("/users/{name}/role")
async def set_role(name: _Name, body: NewRole, request: Request, identity: _Administrator) -> dict[str, Any]:
    """Another role, which counts at once. The last administrator stays one."""
    accounts = services_of(request).accounts
    return _user(accounts.users, await accounts.set_role(identity, name, Role[body.role]))


@router.post("/users/{name}/password")
async def give_password(name: _Name, body: GivenPassword, request: Request, identity: _Administrator) -> dict[str, Any]:
    """Another password, to be changed at the next login; all logins and tokens of the user end."""
    accounts = services_of(request).accounts
    return _user(accounts.users, await accounts.give_password(identity, name, body.password))


@router.post("/users/{name}/remove")
async def remove_user(name: _Name, request: Request, identity: _Administrator) -> dict[str, Any]:
    """Remove a user; all logins, tokens and streams of that user end at once. The last administrator stays."""
    accounts = services_of(request).accounts
    return _user(accounts.users, await accounts.remove_user(identity, name))


@router.get("/tokens")
async def tokens(request: Request, identity: _Viewer, everybodys: bool = False) -> list[dict[str, Any]]:
    """One's own tokens, without their secrets; an administrator may list everybody's."""
    _require_own_or_administrator(identity, everybodys)
    found = services_of(request).accounts.tokens.of(None if everybodys else identity.user_id)
    return [_token(token) for token in found]


@router.post("/tokens")
async def add_token(body: NewToken, request: Request, identity: _Viewer) -> dict[str, Any]:
    """A token for a script, with at most one's own role. Its `secret` is told this once. Needs a login, not a token."""
    lasts_s = None if body.days is None else body.days * 86400.0
    with refusals_told(request):
        secret, token = await services_of(request).accounts.add_token(identity, body.label, Role[body.role], lasts_s)
    return {**_token(token), "secret": secret}


@router.post("/tokens/{id}/revoke")
async def revoke_token(id: _Id, request: Request, identity: _Viewer, everybodys: bool = False) -> dict[str, Any]:
    """End a token of one's own, or as administrator of anybody (`everybodys`)."""
    with refusals_told(request):
        _require_own_or_administrator(identity, everybodys)
    accounts = services_of(request).accounts
    owner = None if everybodys else identity.user_id
    await accounts.aside(lambda: accounts.tokens.revoke(id, owner))
    accounts.audit.accepted(str(identity), "revoke_token", f"id={id}", None)
    return {"revoked": id}


def _require_own_or_administrator(identity: Identity, everybodys: bool) -> None:
    if everybodys and identity.role < Role.administrator:
        raise Forbidden("only an administrator may see or end the tokens of others", allowed=Role.administrator.name)


def _user(users: Users, user: User) -> dict[str, Any]:
    return {
        "user": user.name,
        "role": user.role.name,
        "must_change_password": user.must_change_password,
        "created": _date(user.created_at),
        "last_login": _date(users.last_login(user)),
    }


def _token(token: Token) -> dict[str, Any]:
    return {
        "id": token.id,
        "user": token.user,
        "label": token.label,
        "role": token.role.name,
        "created": _date(token.created_at),
        "expires": _date(token.expires_at),
        "used": _date(token.used_at),
    }


def _date(moment: float | None) -> str | None:
    return None if moment is None else timestamps.to_wire(datetime.fromtimestamp(moment, UTC))
