"""Roles, and who makes a request."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Role(IntEnum):
    """What somebody may do; each may all that those before it may."""

    viewer = 1
    operator = 2
    administrator = 3


@dataclass(frozen=True)
class User:
    """Somebody with a password."""

    id: int
    name: str
    role: Role
    must_change_password: bool
    created_at: float


@dataclass(frozen=True)
class Identity:
    """Who makes a request, and by what: a login (`session`, the hash of its secret) or a script's token (its id).

    `role` is what it may do from this address now; it grants nothing while `must_change_password`.
    """

    user_id: int
    name: str
    role: Role
    address: str
    must_change_password: bool = False
    session: str | None = None
    csrf_token: str | None = None
    token_id: int | None = None

    def __str__(self) -> str:
        return f"{self.name} ({self.address})"
