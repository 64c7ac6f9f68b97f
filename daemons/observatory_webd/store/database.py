"""The SQLite file: opened, migrated, and read and written from any thread."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

from observatory_common.errors import CommandFailed, InvalidConfig, NoRoom

log = logging.getLogger("webd")

_BUSY_S = 5.0
_CLOSED_WITHIN_S = 1.0
_RESERVE_BYTES = 1 << 20
_PAGES_IN_WAL = 100  # so many at most before they are moved into the file: well within the reserve
Row = sqlite3.Row


class Store:
    """One SQLite file in WAL mode: readers never wait for a writer. Thread safe.

    What has been written is on the disk. Raises CommandFailed when the disk fails, NoRoom when it is full and its reserve,
    which lasts for logins, is used up.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reading, self._writing = threading.Lock(), threading.RLock()
        self._reader: sqlite3.Connection | None = None
        self._writer: sqlite3.Connection | None = None
        self._is_within = False
        self._failure: str | None = None

    @property
    def failure(self) -> str | None:
        """Why the last write did not succeed; None if it did."""
        return self._failure

    def open(self) -> None:
        """Open it, new if need be, and bring it to its present form. Raises InvalidConfig if that cannot be done."""
        try:
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self.path.chmod(0o600)
            self._writer = self._connect()
            self._writer.execute("PRAGMA journal_mode = WAL")
            self._migrate(self._writer)
            self._reserve(self._writer)
            self._reader = self._connect("?mode=ro")
        except (OSError, sqlite3.Error) as error:
            self.close()
            raise InvalidConfig(f"{self.path} cannot be used: {error}", value=str(self.path)) from error

    def close(self) -> None:
        """Close it, waiting for no slow disk: what was answered is there, and what is not moved in is for the next run.

        Whoever still writes or reads keeps the connection meanwhile.
        """
        end = threading.Thread(target=self._end, args=(self._writer, self._reader), name="store-end", daemon=True)
        end.start()
        end.join(_CLOSED_WITHIN_S)
        if end.is_alive():
            log.error("%s is still being read or written, and was not waited for", self.path)
        self._reader = self._writer = None

    def _end(self, writer: sqlite3.Connection | None, reader: sqlite3.Connection | None) -> None:
        """Leave one file, which can be copied or replaced without its WAL."""
        if writer is not None:
            with self._writing:
                try:
                    writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                except sqlite3.Error as error:
                    log.warning("%s keeps its WAL: %s", self.path, error)
                writer.close()
        if reader is not None:
            with self._reading:
                reader.close()

    def rows(self, sql: str, *values: Any) -> list[Row]:
        """What a SELECT finds."""
        with self._reading, _told(self.path):
            return self._opened(self._reader).execute(sql, values).fetchall()

    def row(self, sql: str, *values: Any) -> Row | None:
        """The first row that a SELECT finds, or None."""
        with self._reading, _told(self.path):
            found: Row | None = self._opened(self._reader).execute(sql, values).fetchone()
            return found

    def write(self, sql: str, *values: Any) -> int:
        """Carry out one statement; how many rows it changed. Raises sqlite3.IntegrityError for what a constraint forbids."""
        with self.transaction() as connection:
            return connection.execute(sql, values).rowcount

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Several statements, all of which count or none. One within another (of the same thread) is a part of it."""
        with self._writing:
            connection = self._opened(self._writer)
            if self._is_within:
                yield connection
                return
            self._is_within = True
            try:
                with _told(self.path), _all_or_nothing(connection):
                    yield connection
                self._failure = None
            except CommandFailed as error:
                if isinstance(error.__cause__, sqlite3.Error):
                    self._note(str(error))
                raise
            finally:
                self._is_within = False

    def _note(self, failure: str) -> None:
        if failure != self._failure:
            log.error("%s", failure)
        self._failure = failure

    def _opened(self, connection: sqlite3.Connection | None) -> sqlite3.Connection:
        if connection is None:
            raise CommandFailed(f"{self.path} is closed", value=str(self.path))
        return connection

    def _connect(self, how: str = "") -> sqlite3.Connection:
        address = self.path.absolute().as_uri() + how
        connection = sqlite3.connect(address, uri=True, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")  # a removed user must not come back with a power cut
        connection.execute(f"PRAGMA wal_autocheckpoint = {_PAGES_IN_WAL}")
        return connection

    def _reserve(self, connection: sqlite3.Connection) -> None:
        """Free pages in the file, and room in its WAL, which is written from its start again: both need no more disk."""
        try:
            connection.execute("DROP TABLE IF EXISTS reserve")  # of a run that ended just here
            connection.execute(f"CREATE TABLE reserve AS SELECT zeroblob({_RESERVE_BYTES}) AS room")
            connection.execute("DROP TABLE reserve")
        except sqlite3.OperationalError as error:
            log.warning("%s has no reserve for a full disk: %s", self.path, error)

    def _migrate(self, connection: sqlite3.Connection) -> None:
        migrations = _migrations()
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > len(migrations):
            raise InvalidConfig(
                f"{self.path} has version {version}, made by a newer webd; this one knows {len(migrations)}",
                value=version,
                allowed=f"at most {len(migrations)}",
            )
        for number, script in enumerate(migrations[version:], version + 1):
            connection.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")


@contextlib.contextmanager
def _all_or_nothing(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk has ended it already
            connection.execute("ROLLBACK")
        raise


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """What goes wrong with the disk, told as one of our errors."""
    try:
        yield
    except sqlite3.IntegrityError:
        raise
    except sqlite3.Error as error:
        kind = NoRoom if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL else CommandFailed
        raise kind(f"{path.name} cannot be read or written: {error}", value=path.name) from error


def _migrations() -> list[str]:
    """The scripts in their order; script N brings the file from version N-1 to N."""
    folder = resources.files("observatory_webd.store") / "migrations"
    scripts = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".sql")), key=lambda entry: entry.name)
    numbers = [int(entry.name[:4]) for entry in scripts]
    if numbers != list(range(1, len(scripts) + 1)):
        raise InvalidConfig(f"the migrations of webd's store are not numbered from 1: {numbers}", value=str(numbers))
    return [entry.read_text(encoding="utf-8") for entry in scripts]
