"""Who may log in. Checking a password is slow on purpose, so it is done aside, and guessing is slowed down."""

from __future__ import annotations

from collections.abc import Sequence

from observatory_common import guessing
from observatory_common.guessing import Failures
from observatory_ftpd import password as passwords
from observatory_ftpd.config import ANONYMOUS_NAMES, User

FAILURES_ALLOWED = 5
WITHIN_S = 60.0
_ADDRESSES_KEPT = 1000
_LONGEST_PASSWORD = 200


class Logins:
    """The users of a config. `check` takes about 0.1 s, whether the name is known or not."""

    def __init__(self, users: Sequence[User], anonymous: str | None) -> None:
        self._users = {user.name: user for user in users}
        self._anonymous = anonymous
        # An unknown name must not be told from a known one by the time that the refusal takes.
        self._nobody = passwords.hash_like(users[0].password) if users else None

    def needs_password(self, name: str) -> bool:
        """Whether a login takes a check of a password."""
        return not (name in ANONYMOUS_NAMES and self._anonymous is not None) and self._nobody is not None

    def without_password(self, name: str) -> str | None:
        """The rights of somebody who gives no password, None for nobody."""
        return self._anonymous if name in ANONYMOUS_NAMES else None

    def check(self, name: str, password: str) -> str | None:
        """The rights (`read`, `drop`) of whoever has this name and password; None for nobody."""
        user = self._users.get(name)
        hashed = self._nobody if user is None else user.password
        if hashed is None or len(password) > _LONGEST_PASSWORD:
            return None
        return user.rights if passwords.fits(hashed, password) and user is not None else None


class Tries(guessing.Tries):
    """Logins under way and failed, by address. After 5 failures within a minute, an address waits."""

    def __init__(self) -> None:
        super().__init__(Failures(FAILURES_ALLOWED, WITHIN_S, _ADDRESSES_KEPT))
