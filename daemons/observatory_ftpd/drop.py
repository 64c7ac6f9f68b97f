"""The drop folder: what may come into it, how much, and what ftpd itself puts there."""

from __future__ import annotations

import logging
import os
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from observatory_common.errors import CommandFailed, InvalidConfig, NoRoom
from observatory_common.storage import sync_folder, write_atomic
from observatory_ftpd.names import OWN_NAMES, is_own, photo_number

log = logging.getLogger("ftpd")

LARGEST_CONFIG = 1 << 20
_FOR_CONFIGS = 2 * LARGEST_CONFIG  # what photos leave free
_TEMPORARY = ".upload-"
_LONGEST_NAME = 200  # bytes


class Refused(CommandFailed):
    """A file that may not come in."""


@dataclass(frozen=True)
class Usage:
    """What lies in the folder, uploads under way included; `others` is what is neither the configuration nor ours."""

    bytes: int
    files: int
    other_bytes: int
    other_files: int


class Incoming:
    """A file under way into the folder, under a name that nobody sees. Looks like a file to the FTP library.

    What is too much is not written: `stop` is then told the reply (once), and must close. Closed before `complete`, it is gone.
    `unsafe`, once it has been taken: why it may not outlive a loss of power, though it is there.
    """

    closed = False
    unsafe: str | None = None

    def __init__(self, drop: Drop, name: str, limit: int, why: str, stop: Callable[[str], None]) -> None:
        self.name = name
        self.size = 0
        descriptor, path = tempfile.mkstemp(dir=drop.folder, prefix=_TEMPORARY)
        self.path = Path(path)
        self._file = os.fdopen(descriptor, "wb")
        self._drop = drop
        self._limit = limit
        self._why = why
        self._stop = stop
        self._complete = False

    def write(self, data: bytes) -> None:
        """Add what has arrived."""
        if self.size + len(data) > self._limit:
            self._stop(f"552 {self.name}: {self._why}; nothing was kept.")
            return
        self.size += len(data)
        if self._drop.is_over_quota():
            self._stop("552 The folder's quota is used up; nothing was kept.")
            return
        try:
            self._file.write(data)
        except OSError as error:
            self._stop(f"452 {self.name} cannot be written: {error.strerror}; nothing was kept.")

    def complete(self) -> None:
        """All of it is here: it stays when it is closed, until `Drop.take_*`. Raises OSError (a full disk)."""
        self._file.flush()
        self._complete = True

    def close(self) -> None:
        """Close it; unless it is complete, forget it."""
        if not self.closed:
            self.closed = True
            try:
                self._file.close()
            except OSError:
                self._complete = False  # the last bytes did not fit
            if not self._complete:
                self._drop.forget(self)


class Drop:
    """The folder of an instance. Uploads go through `receive` and `take_*`, ftpd's own files through `publish`. Thread safe."""

    def __init__(self, folder: Path, file_name: str, quota_bytes: int, files: int, photos_kept: int) -> None:
        self.folder = folder
        self.file_name = file_name
        self.quota_bytes = quota_bytes
        self._files = files
        self._photos_kept = photos_kept
        self._lock = threading.Lock()
        self._incoming: set[Incoming] = set()
        self._others_limit = quota_bytes // 2
        self._at_rest = Usage(0, 0, 0, 0)

    @property
    def report_name(self) -> str:
        """The file that says what became of the last upload."""
        return f"{self.file_name}.report"

    @property
    def template_name(self) -> str:
        """The file with everything that can be set."""
        return f"{self.file_name}.default"

    def open(self) -> None:
        """Make the folder, and remove what a crash has left. Raises InvalidConfig if it cannot be used."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for path in self.folder.iterdir():
                if path.name.startswith((_TEMPORARY, f".{self.file_name}.", ".test")):
                    path.unlink()
            tempfile.TemporaryFile(dir=self.folder).close()
        except OSError as error:
            raise InvalidConfig(f"the folder {self.folder} cannot be used: {error.strerror}", value=str(self.folder)) from error

    # looking

    def visible(self) -> Iterator[os.DirEntry[str]]:
        """What a client sees: plain files; nothing hidden, no links, no folders."""
        with os.scandir(self.folder) as entries:
            for entry in entries:
                if not entry.name.startswith(".") and entry.is_file(follow_symlinks=False):
                    yield entry

    def is_visible(self, path: str) -> bool:
        """Whether a path is one of these files, or could become one."""
        folder, name = os.path.split(path)
        if folder != str(self.folder) or name.startswith("."):
            return False
        try:
            return stat.S_ISREG(os.lstat(path).st_mode)
        except FileNotFoundError:
            return True
        except (OSError, ValueError):  # too long a name, a NUL
            return False

    def usage(self) -> Usage:
        """What lies there now."""
        self._look()
        with self._lock:
            return self._with_arriving()

    def _look(self) -> None:
        sizes = dict(self._sizes())
        others = [size for name, size in sizes.items() if not is_own(name) and name != self.file_name]
        with self._lock:
            self._at_rest = Usage(sum(sizes.values()), len(sizes), sum(others), len(others))

    def _with_arriving(self) -> Usage:
        rest = self._at_rest
        others = [incoming.size for incoming in self._incoming if incoming.name != self.file_name]
        return Usage(
            rest.bytes + sum(incoming.size for incoming in self._incoming),
            rest.files + len(self._incoming),
            rest.other_bytes + sum(others),
            rest.other_files + len(others),
        )

    # coming in

    def receive(self, name: str, stop: Callable[[str], None]) -> Incoming:
        """A file to be written to. Raises Refused for a name that is not accepted or without room for it; OSError."""
        self._require_acceptable(name)
        usage = self.usage()
        if name == self.file_name:
            limit, why = LARGEST_CONFIG, f"a configuration is at most {LARGEST_CONFIG} bytes"
        else:
            limit = self._others_limit - usage.other_bytes
            why = f"other files than {self.file_name} may fill {self._others_limit} bytes"
            if limit <= 0 or usage.other_files >= self._files // 2:
                raise Refused(f"{why} and be {self._files // 2}, which they do already")
            if os.path.lexists(self.folder / name):
                raise Refused(f"{name} is there already; only {self.file_name} may be replaced")
        incoming = Incoming(self, name, limit, why, stop)
        with self._lock:
            self._incoming.add(incoming)
        return incoming

    def is_over_quota(self) -> bool:
        """Whether what arrives now, with what lies there, is more than the quota."""
        with self._lock:
            used = self._with_arriving()
        return used.bytes > self.quota_bytes or used.other_bytes > self._others_limit

    def take_other(self, incoming: Incoming) -> None:
        """Give a complete file its name. Raises Refused if another came first, OSError: it is not there then."""
        try:
            self._durable(incoming)
            os.link(incoming.path, self.folder / incoming.name)  # unlike a rename, never over another
            incoming.unsafe = self._sync_folder()
        except FileExistsError:
            raise Refused(f"{incoming.name} is there already; only {self.file_name} may be replaced") from None
        finally:
            self.forget(incoming)

    def take_config(self, incoming: Incoming, check: Callable[[bytes], None]) -> None:
        """Have a complete configuration replace the one before, unless `check` raises; OSError: that one stays then."""
        try:
            check(incoming.path.read_bytes())
            self._durable(incoming)
            os.replace(incoming.path, self.folder / self.file_name)
            incoming.unsafe = self._sync_folder()
        finally:
            self.forget(incoming)

    def forget(self, incoming: Incoming) -> None:
        """It is no longer under way. A rest of it that cannot be deleted goes at the next start."""
        with self._lock:
            self._incoming.discard(incoming)
        try:
            incoming.path.unlink(missing_ok=True)
            self._look()
        except OSError as error:
            log.error("the folder %s cannot be cleared: %s", self.folder, error.strerror)

    # ftpd's own

    def publish(self, name: str, data: bytes) -> None:
        """Write one of ftpd's own files, whole or not at all. Raises NoRoom, CommandFailed."""
        replaced = dict(self._sizes()).get(name, 0)
        usage = self.usage()
        if usage.bytes - replaced + len(data) > self.quota_bytes:
            raise NoRoom(f"{name} ({len(data)} bytes) does not fit: {usage.bytes} of {self.quota_bytes} bytes are used")
        try:
            write_atomic(self.folder / name, data)
        except OSError as error:
            raise CommandFailed(f"{name} cannot be written: {error.strerror}") from error

    def publish_photo(self, data: bytes, ending: str) -> str:
        """Write the next test photo, and delete the oldest ones beyond what is kept or fits; its name. Raises as `publish`."""
        photos = self._photos()
        name = f"test{photos[-1][0] + 1 if photos else 0:03d}.{ending}"
        room = self.quota_bytes - _FOR_CONFIGS - self.usage().bytes - len(data)
        if room + sum(size for _, _, size in photos) < 0:
            raise NoRoom(f"{name} ({len(data)} bytes) does not fit into what the quota of {self.quota_bytes} bytes leaves")
        while photos and (len(photos) >= self._photos_kept or room < 0):
            _, oldest, size = photos.pop(0)
            self._unlink(oldest)
            room += size
        self.publish(name, data)
        return name

    def _photos(self) -> list[tuple[int, str, int]]:
        """The numbered photos, oldest first: number, name, size."""
        found = ((photo_number(name), name, size) for name, size in self._sizes())
        return sorted((number, name, size) for number, name, size in found if number is not None)

    def _unlink(self, name: str) -> None:
        try:
            (self.folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise CommandFailed(f"{name} cannot be deleted: {error.strerror}") from error

    def _sizes(self) -> Iterator[tuple[str, int]]:
        for entry in self.visible():
            try:
                yield entry.name, entry.stat(follow_symlinks=False).st_size
            except FileNotFoundError:
                pass  # deleted meanwhile

    def _require_acceptable(self, name: str) -> None:
        if is_own(name):
            raise Refused(f"{name} is a name of ftpd's own files ({OWN_NAMES})")
        if name != self.file_name and name.lower() == self.file_name.lower():
            raise Refused(f"{name} is not {self.file_name}, and too much like it")
        if name.startswith(".") or not name.isprintable() or len(os.fsencode(name)) > _LONGEST_NAME:
            raise Refused("a name begins with no dot, has no control characters, and is at most 200 bytes long")

    def _durable(self, incoming: Incoming) -> None:
        descriptor = os.open(incoming.path, os.O_RDONLY)
        try:
            os.fchmod(descriptor, 0o644)  # a file of data, whatever it holds
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _sync_folder(self) -> str | None:
        """Have its names outlive a loss of power; why they may not, since what has its name is there all the same."""
        try:
            sync_folder(self.folder)
        except OSError as error:
            log.error("the folder %s cannot be synced: %s", self.folder, error.strerror)
            return error.strerror
        return None
