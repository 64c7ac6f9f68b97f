"""Logins of browsers. What a browser keeps is a secret; what is stored is its hash."""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass

from observatory_webd.config import SessionLimits
from observatory_webd.store.database import Store

_PER_USER = 20
_TOUCHED_EVERY_S = 300.0  # rarely, since each is a write that waits for the disk


@dataclass(frozen=True)
class Session:
    """A login that lasts."""

    hash: str
    user_id: int
    csrf_token: str
    created_at: float
    used_at: float
    address: str


class Sessions:
    """The logins of all users. Thread safe."""

    def __init__(self, store: Store, limits: SessionLimits) -> None:
        self._store = store
        self.limits = limits

    def open(self, user_id: int, address: str) -> tuple[str, Session]:
        """A new login: its secret, and what is kept of it. A user has at most 20, of which the oldest end."""
        secret, now = secrets.token_urlsafe(32), time.time()
        session = Session(hash_of(secret), user_id, secrets.token_urlsafe(32), now, now, address)
        with self._store.transaction() as connection:
            connection.execute(
                "DELETE FROM sessions WHERE created_at < ? OR used_at < ?",
                (now - self.limits.absolute_s, now - self.limits.idle_s),
            )
            connection.execute(
                "INSERT INTO sessions (hash, user_id, csrf_token, created_at, used_at, address) VALUES (?, ?, ?, ?, ?, ?)",
                (session.hash, user_id, session.csrf_token, now, now, address),
            )
            # The oldest by their order, not by their dates: the clock may have been set back.
            connection.execute(
                "DELETE FROM sessions WHERE user_id = ? AND hash NOT IN"
                " (SELECT hash FROM sessions WHERE user_id = ? ORDER BY rowid DESC LIMIT ?)",
                (user_id, user_id, _PER_USER),
            )
        return secret, session

    def find(self, hash: str) -> Session | None:
        """The login with this hash of its secret, while it lasts."""
        row = self._store.row("SELECT * FROM sessions WHERE hash = ?", hash)
        if row is None:
            return None
        session = Session(**dict(row))
        now = time.time()
        if now - session.created_at > self.limits.absolute_s or now - session.used_at > self.limits.idle_s:
            return None
        return session

    def needs_touch(self, session: Session) -> bool:
        """Whether its use should be noted again."""
        return time.time() - session.used_at > min(_TOUCHED_EVERY_S, self.limits.idle_s / 4)

    def touch(self, session: Session) -> None:
        """Note that it is used, unless that has been noted since it was found."""
        sql = "UPDATE sessions SET used_at = ? WHERE hash = ? AND used_at = ?"
        self._store.write(sql, time.time(), session.hash, session.used_at)

    def close(self, hash: str) -> None:
        """End a login."""
        self._store.write("DELETE FROM sessions WHERE hash = ?", hash)

    def count(self) -> int:
        """How many last."""
        now = time.time()
        sql = "SELECT count(*) AS number FROM sessions WHERE created_at >= ? AND used_at >= ?"
        row = self._store.row(sql, now - self.limits.absolute_s, now - self.limits.idle_s)
        return int(row["number"]) if row is not None else 0


def hash_of(secret: str) -> str:
    """What is stored of a secret that is long and random: its SHA-256."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
