"""Logins of scripts as raspiCamSrv has them: signed tokens (JWT, HS256), one for access and one that gets another of those.

Each login is also a token of its user, which the user sees and can revoke; when that ends, both of the login's JWTs do.
"""

from __future__ import annotations

import secrets
import sqlite3
import time
import uuid
from typing import Any, Literal

from observatory_webd.accounts.identity import Role, User
from observatory_webd.accounts.sessions import hash_of
from observatory_webd.accounts.tokens import Token, Tokens
from observatory_webd.config import ScriptLoginLimits
from observatory_webd.errors import NotLoggedIn, TokenRefused
from observatory_webd.store.database import Store

Kind = Literal["access", "refresh"]
LABEL = "raspiCamSrv API"
_ALGORITHM = "HS256"
_CLAIMS = ("exp", "iat", "jti", "type", "sub", "grant")
_PER_USER = 20
_OTHER_KIND = {"access": "Only non-refresh tokens are allowed", "refresh": "Only refresh tokens are allowed"}


class ScriptLogins:
    """The logins of all users. Makes the key that signs them if there is none. Thread safe."""

    def __init__(self, store: Store, tokens: Tokens, limits: ScriptLoginLimits) -> None:
        self._store = store
        self._tokens = tokens
        self._limits = limits
        store.write("INSERT INTO script_key (id, secret) VALUES (1, ?) ON CONFLICT DO NOTHING", secrets.token_hex(32))
        self._key: str = store.rows("SELECT secret FROM script_key")[0]["secret"]

    def open(self, user: User) -> tuple[str, str | None]:
        """A new login: its access token, and its refresh token if the config has one. A user has at most 20; the oldest end.

        Raises NotLoggedIn if the user has been removed meanwhile.
        """
        limits, grant = self._limits, secrets.token_urlsafe(32)
        try:
            with self._store.transaction() as connection:
                connection.execute(
                    "DELETE FROM tokens WHERE id IN (SELECT token_id FROM script_logins) AND (expires_at < ?1 OR (user_id = ?2"
                    " AND id NOT IN (SELECT token_id FROM script_logins JOIN tokens ON id = token_id WHERE user_id = ?2"
                    " ORDER BY id DESC LIMIT ?3)))",
                    (time.time(), user.id, _PER_USER - 1),
                )
                _, token = self._tokens.make(user, LABEL, Role.operator, limits.access_s + limits.refresh_s)
                connection.execute("INSERT INTO script_logins (token_id, hash) VALUES (?, ?)", (token.id, hash_of(grant)))
        except sqlite3.IntegrityError:
            raise NotLoggedIn(f"{user.name} has just been removed", value=user.name) from None
        refresh = self._signed("refresh", user.name, grant, limits.refresh_s) if limits.refresh_s else None
        return self._signed("access", user.name, grant, limits.access_s), refresh

    def find(self, given: str, kind: Kind = "access") -> Token:
        """The token behind a JWT of this kind. Raises TokenRefused."""
        return self._find(self._claims(given), kind)

    def refreshed(self, given: str) -> str:
        """Another access token, for a refresh token. Raises TokenRefused."""
        claims = self._claims(given)
        token = self._find(claims, "refresh")
        return self._signed("access", token.user, claims["grant"], self._limits.access_s)

    def _find(self, claims: dict[str, Any], kind: Kind) -> Token:
        if claims["type"] != kind:
            raise TokenRefused(_OTHER_KIND[kind], 422)
        row = self._store.row("SELECT token_id FROM script_logins WHERE hash = ?", hash_of(str(claims["grant"])))
        token = None if row is None else self._tokens.by_id(row["token_id"])
        if token is None:
            raise TokenRefused("Token has been revoked")
        return token

    def _signed(self, kind: Kind, user: str, grant: str, lasts_s: float) -> str:
        import jwt

        now = int(time.time())
        claims = {
            "sub": user,
            "type": kind,
            "jti": str(uuid.uuid4()),
            "iat": now,
            "nbf": now,
            "exp": now + max(round(lasts_s), 1),
            "fresh": False,
            "grant": grant,
        }
        return jwt.encode(claims, self._key, _ALGORITHM)

    def _claims(self, given: str) -> dict[str, Any]:
        import jwt

        # A Pi without a clock may start before the moment at which it signed: only the end is checked.
        options: Any = {"require": _CLAIMS, "verify_iat": False, "verify_nbf": False}
        try:
            claims: dict[str, Any] = jwt.decode(given, self._key, [_ALGORITHM], options)
        except jwt.ExpiredSignatureError:
            raise TokenRefused("Token has expired") from None
        except jwt.InvalidTokenError as error:
            raise TokenRefused(str(error), 422) from None
        except RecursionError:  # JSON nested without end
            raise TokenRefused("Invalid payload", 422) from None
        return claims
