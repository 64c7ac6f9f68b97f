"""The users as they are kept."""

from __future__ import annotations

import re
import sqlite3
import time

from observatory_common.errors import CommandFailed, InvalidArgument
from observatory_webd.accounts.identity import Role, User
from observatory_webd.errors import AlreadyThere, NotLoggedIn, NotThere
from observatory_webd.store.database import Row, Store

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,59}")
_COLUMNS = "id, name, role, must_change_password, created_at"


class Users:
    """Names are told apart without regard to case. Thread safe."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def all(self) -> list[User]:
        """All, by name."""
        return [_user(row) for row in self._store.rows(f"SELECT {_COLUMNS} FROM users ORDER BY name")]

    def count(self) -> int:
        """How many there are."""
        row = self._store.row("SELECT count(*) AS number FROM users")
        return int(row["number"]) if row is not None else 0

    def find(self, name: str) -> tuple[User, str] | None:
        """The user of this name, and the hash of the password."""
        row = self._store.row(f"SELECT {_COLUMNS}, password_hash FROM users WHERE name = ?", plain(name))
        return None if row is None else (_user(row), row["password_hash"])

    def by_id(self, id: int) -> User | None:
        """The user of this id."""
        row = self._store.row(f"SELECT {_COLUMNS} FROM users WHERE id = ?", id)
        return None if row is None else _user(row)

    def named(self, name: str) -> User:
        """The user of this name. Raises NotThere."""
        found = self.find(name)
        if found is None:
            raise NotThere(f"there is no user {name[:60]!r}", value=name[:60])
        return found[0]

    def last_login(self, user: User) -> float | None:
        """When a user last logged in, as far as that is kept (180 days)."""
        row = self._store.row("SELECT max(used_at) AS last FROM known_addresses WHERE user_id = ?", user.id)
        return None if row is None else row["last"]

    def add(self, name: str, role: Role, password_hash: str, must_change_password: bool, *, only_first: bool = False) -> User:
        """A new user; with `only_first` only while there is none. Raises InvalidArgument, AlreadyThere."""
        if not _NAME.fullmatch(name):
            allowed = "1 to 60 letters, digits, _ . @ -"
            raise InvalidArgument(
                f"the user name {name[:60]!r} cannot be used, expected {allowed}", value=name[:60], allowed=allowed
            )
        sql = (
            "INSERT INTO users (id, name, role, password_hash, must_change_password, created_at)"
            " VALUES ((SELECT id + 1 FROM last_ids WHERE of = 'users'), ?, ?, ?, ?, ?)"
        )
        try:
            with self._store.transaction() as connection:
                if only_first and connection.execute("SELECT count(*) FROM users").fetchone()[0]:
                    raise AlreadyThere("there is a first user already")
                connection.execute(sql, (name, role.name, password_hash, must_change_password, time.time()))
        except sqlite3.IntegrityError:
            raise AlreadyThere(f"there is a user {name} already", value=name) from None
        return self.named(name)

    def set_password(self, user: User, password_hash: str, must_change_password: bool, keep_session: str | None = None) -> None:
        """Another password; ends all logins of the user but `keep_session`, and if it must be changed the tokens too."""
        with self._store.transaction() as connection:
            connection.execute(
                "UPDATE users SET password_hash = ?, must_change_password = ? WHERE id = ?",
                (password_hash, must_change_password, user.id),
            )
            connection.execute("DELETE FROM sessions WHERE user_id = ? AND hash IS NOT ?", (user.id, keep_session))
            if must_change_password:
                connection.execute("DELETE FROM tokens WHERE user_id = ?", (user.id,))

    def require(self, user: User, password_hash: str) -> None:
        """Raise NotLoggedIn unless the user is there still, with this password: for what follows in the same transaction."""
        with self._store.transaction() as connection:
            sql = "SELECT 1 FROM users WHERE id = ? AND password_hash = ?"
            if connection.execute(sql, (user.id, password_hash)).fetchone() is None:
                raise NotLoggedIn(f"{user.name} has just been removed or given another password", value=user.name)

    def set_role(self, name: str, role: Role) -> User:
        """Another role, which counts at once. Raises NotThere, CommandFailed for the last administrator."""
        user = self.named(name)
        with self._store.transaction() as connection:
            connection.execute("UPDATE users SET role = ? WHERE id = ?", (role.name, user.id))
            _require_administrator(connection, user)
        return self.named(name)

    def remove(self, name: str) -> User:
        """Remove a user with all logins and tokens, at once. Raises NotThere, CommandFailed for the last administrator."""
        user = self.named(name)
        with self._store.transaction() as connection:
            connection.execute("DELETE FROM users WHERE id = ?", (user.id,))
            _require_administrator(connection, user)
        return user


def plain(text: str) -> str:
    """A text that can be looked up: what is no Unicode (half of a surrogate pair) is replaced."""
    return text.encode("utf-8", "replace").decode()


def _require_administrator(connection: sqlite3.Connection, user: User) -> None:
    if not connection.execute("SELECT count(*) FROM users WHERE role = 'administrator'").fetchone()[0]:
        raise CommandFailed(f"{user.name} is the last administrator; make another one first", value=user.name)


def _user(row: Row) -> User:
    return User(row["id"], row["name"], Role[row["role"]], bool(row["must_change_password"]), row["created_at"])
