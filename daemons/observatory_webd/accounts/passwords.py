"""Passwords: their hashes, made and checked aside and few at a time, since each takes 0.1 s and 64 MB on purpose."""

from __future__ import annotations

import asyncio
import secrets
import time
from concurrent.futures import Future
from functools import cached_property

from observatory_common.errors import InvalidArgument
from observatory_webd.lanes import Lane

SHORTEST, LONGEST = 10, 200
_AT_A_TIME, _WAITING = 2, 16


def checked_password(password: str, user: str) -> str:
    """A password that may be set. Raises InvalidArgument."""
    allowed = f"{SHORTEST} to {LONGEST} characters, not all the same, and not the user's name"
    if not SHORTEST <= len(password) <= LONGEST or password.casefold() == user.casefold() or len(set(password)) < 3:
        raise InvalidArgument(f"this password cannot be used, expected {allowed}", value=None, allowed=allowed)
    return password


class Passwords:
    """Makes and checks hashes (argon2). Awaited on the loop, done in two threads; Busy when too many wait."""

    def __init__(self) -> None:
        self._lane = Lane("passwords", _AT_A_TIME, _WAITING)

    async def hash(self, password: str) -> str:
        """The hash of a password."""
        return await asyncio.wrap_future(self._lane.submit(lambda: hash_of(password)))

    async def fits(self, hashed: str | None, password: str) -> bool:
        """Whether it is the password of this hash; of no hash it is not, which takes as long to find out."""
        if len(password) > LONGEST:
            return False
        found: Future[bool] = self._lane.submit(lambda: self._fits(hashed, password))
        return await asyncio.wrap_future(found)

    def close(self, deadline_s: float) -> None:
        """End the threads."""
        self._lane.close()
        self._lane.join(time.monotonic() + deadline_s)

    def _fits(self, hashed: str | None, password: str) -> bool:
        from argon2 import PasswordHasher
        from argon2.exceptions import Argon2Error, InvalidHashError

        try:
            return PasswordHasher().verify(hashed or self._nobodys, password) and hashed is not None
        except (Argon2Error, InvalidHashError):
            return False

    @cached_property
    def _nobodys(self) -> str:
        return hash_of(secrets.token_hex())


def hash_of(password: str) -> str:
    """The argon2 hash of a password; takes 0.1 s."""
    from argon2 import PasswordHasher

    return PasswordHasher().hash(password)
