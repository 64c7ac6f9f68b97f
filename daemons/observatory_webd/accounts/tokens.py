"""Tokens for scripts: long secrets, shown once, with a role of their own and perhaps an end."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass

from observatory_common.errors import InvalidArgument
from observatory_webd.accounts.identity import Role, User
from observatory_webd.accounts.sessions import hash_of
from observatory_webd.errors import NotThere
from observatory_webd.store.database import Row, Store

PREFIX = "obs_"
_PER_USER = 50
_TOUCHED_EVERY_S = 300.0  # rarely, since each is a write that waits for the disk


@dataclass(frozen=True)
class Token:
    """A token as it is kept. `role` is the most that it may, and never more than its user may now."""

    id: int
    user_id: int
    user: str
    label: str
    role: Role
    created_at: float
    expires_at: float | None
    used_at: float | None


class Tokens:
    """The tokens of all users. Thread safe."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, user: User, label: str, role: Role, lasts_s: float | None) -> tuple[str, Token]:
        """A new token: its secret, which nobody can be told again, and what is kept. Raises InvalidArgument for the 51st.

        The logins of scripts, which end by themselves, do not count.
        """
        sql = "SELECT count(*) FROM tokens WHERE user_id = ? AND id NOT IN (SELECT token_id FROM script_logins)"
        with self._store.transaction() as connection:
            if connection.execute(sql, (user.id,)).fetchone()[0] >= _PER_USER:
                raise InvalidArgument(
                    f"{user.name} has {_PER_USER} tokens already", value=user.name, allowed=f"{_PER_USER} tokens"
                )
            return self.make(user, label, role, lasts_s)

    def make(self, user: User, label: str, role: Role, lasts_s: float | None) -> tuple[str, Token]:
        """As `add`, however many there are."""
        secret, now = PREFIX + secrets.token_urlsafe(32), time.time()
        expires_at = None if lasts_s is None else now + lasts_s
        sql = (
            "INSERT INTO tokens (id, user_id, label, role, hash, created_at, expires_at)"
            " VALUES ((SELECT id + 1 FROM last_ids WHERE of = 'tokens'), ?, ?, ?, ?, ?, ?)"
        )
        with self._store.transaction() as connection:
            made = connection.execute(sql, (user.id, label, role.name, hash_of(secret), now, expires_at))
        assert made.lastrowid is not None
        return secret, Token(made.lastrowid, user.id, user.name, label, role, now, expires_at, None)

    def find(self, secret: str) -> Token | None:
        """The token with this secret, while it lasts."""
        rows = self._select("tokens.hash = ? AND (expires_at IS NULL OR expires_at > ?)", hash_of(secret), time.time())
        return rows[0] if rows else None

    def by_id(self, id: int) -> Token | None:
        """The token of this id, while it lasts."""
        rows = self._select("tokens.id = ? AND (expires_at IS NULL OR expires_at > ?)", id, time.time())
        return rows[0] if rows else None

    def is_kept(self, id: int) -> bool:
        """Whether this token lasts still."""
        return self.by_id(id) is not None

    def of(self, user_id: int | None) -> list[Token]:
        """A user's tokens; None: everybody's."""
        return self._select("?1 IS NULL OR tokens.user_id = ?1", user_id)

    def needs_touch(self, token: Token) -> bool:
        """Whether its use should be noted again."""
        return token.used_at is None or time.time() - token.used_at > _TOUCHED_EVERY_S

    def touch(self, token: Token) -> None:
        """Note that it is used, unless that has been noted since it was found."""
        sql = "UPDATE tokens SET used_at = ? WHERE id = ? AND used_at IS ?"
        self._store.write(sql, time.time(), token.id, token.used_at)

    def revoke(self, id: int, user_id: int | None) -> None:
        """End a token, of this user or (None) of anybody. Raises NotThere."""
        if not self._store.write("DELETE FROM tokens WHERE id = ?1 AND (?2 IS NULL OR user_id = ?2)", id, user_id):
            raise NotThere(f"there is no token {id}", value=id)

    def _select(self, where: str, *values: object) -> list[Token]:
        sql = (
            f"SELECT tokens.*, users.name AS user FROM tokens JOIN users ON users.id = user_id WHERE {where} ORDER BY tokens.id"
        )
        return [_token(row) for row in self._store.rows(sql, *values)]


def _token(row: Row) -> Token:
    kept = {key: row[key] for key in row.keys() if key not in ("hash", "role")}  # noqa: SIM118 - a Row iterates its values
    return Token(**kept, role=Role[row["role"]])
