"""The first administrator: made by whoever can read a link that only this machine knows."""

from __future__ import annotations

import logging
import math
import os
import secrets
import sys
import threading
import time
from pathlib import Path

from observatory_common.errors import CommandFailed
from observatory_webd.accounts.users import Users

log = logging.getLogger("webd")

_LASTS_S = 86400.0
_EVERY_S = 60.0


class FirstLink:
    """The one-time link, as long as there is no user. It lasts a day, and a restart makes another."""

    def __init__(self, users: Users, file: Path, address: str) -> None:
        self._users = users
        self._file = file
        self._address = address
        self._lock = threading.Lock()
        self._token: str | None = None
        self._ends_at = 0.0
        self._looked_at = time.monotonic()

    @property
    def wanted(self) -> bool:
        """Whether there is no user yet."""
        return self._token is not None

    @property
    def file(self) -> Path:
        """Where the link stands, readable for this daemon's user alone."""
        return self._file

    def prepare(self) -> None:
        """Make the link if there is no user, write it into its file, print it; else remove an old one. Raises CommandFailed."""
        with self._lock:
            if self._users.count():
                self._token = None
                _remove(self._file)
                self._looked_at = time.monotonic()
                return
            token, ends_at = secrets.token_urlsafe(24), time.monotonic() + _LASTS_S
            link = f"{self._address}/setup?token={token}"
            _write_private(self._file, link + "\n")
            self._token, self._ends_at, self._looked_at = token, ends_at, time.monotonic()
        log.warning("there is no user yet: the first administrator is made at %s", link)
        sys.stderr.write(f"first administrator: {link}\n")  # in one piece: the log writes there too
        sys.stderr.flush()

    def refresh(self) -> None:
        """Forget the link when a user was made on the host; make another when it is over, or all users were removed there.

        Raises CommandFailed.
        """
        if self._token is not None and self._users.count():
            self.used()
        if time.monotonic() - self._looked_at < _EVERY_S:
            return
        if self._token is None or time.monotonic() > self._ends_at:
            self.prepare()

    def fits(self, token: str) -> bool:
        """Whether it is the link's token, which is still good."""
        with self._lock:
            good = self._token is not None and time.monotonic() < self._ends_at
            return good and secrets.compare_digest(str(self._token).encode(), token.encode("utf-8", "replace"))

    def used(self) -> None:
        """There is a user now. A file that cannot be removed is good for nothing, and `refresh` tells of it."""
        with self._lock:
            self._token = None
            try:
                _remove(self._file)
            except CommandFailed:
                self._looked_at = -math.inf


def _remove(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        if os.path.lexists(file):  # a read-only disk refuses it for a file that is not there, too
            raise CommandFailed(f"{file} cannot be removed: {error.strerror}", value=str(file)) from error


def _write_private(file: Path, text: str) -> None:
    _remove(file)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            opened.write(text)
    except OSError as error:
        raise CommandFailed(f"{file} cannot be written: {error.strerror}", value=str(file)) from error
