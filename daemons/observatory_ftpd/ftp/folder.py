"""The drop folder as an FTP client sees it: one folder of plain files."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import IO, Any

from pyftpdlib.filesystems import AbstractedFS, FilesystemError

from observatory_ftpd.drop import Drop, Incoming, Refused


class DropView(AbstractedFS):  # type: ignore[misc]  # pyftpdlib has no type information
    """Paths of clients, to the files in the folder and to nothing else. `cmd_channel` is the session."""

    def __init__(self, root: str, cmd_channel: Any) -> None:
        super().__init__(root, cmd_channel)
        self._drop: Drop = cmd_channel.services.drop

    def validpath(self, path: str) -> bool:
        """The folder, or a file in it that is one or may become one."""
        return path == self.root or self._drop.is_visible(path)

    def listdir(self, path: str) -> list[str]:
        """The names of the files."""
        return sorted(entry.name for entry in self._drop.visible())

    def listdirinfo(self, path: str) -> list[str]:
        """The names of the files."""
        return self.listdir(path)

    def stat(self, path: str) -> os.stat_result:
        """Never of what a link leads to."""
        return os.lstat(path)

    def open(self, filename: str, mode: str) -> IO[bytes] | Incoming:
        """To read a file, or to write one that is coming in. Raises FilesystemError, OSError."""
        if "r" in mode and "+" not in mode:
            return _opened(filename)
        name = Path(filename).name
        try:
            return self._drop.receive(name, self.cmd_channel.stop_receiving)
        except Refused as error:
            self.cmd_channel.upload_refused(name, str(error))
            raise FilesystemError(str(error)) from error

    # whose files they are is nobody's business

    def get_user_by_uid(self, uid: int) -> str:
        """A name for everybody."""
        return "ftpd"

    def get_group_by_gid(self, gid: int) -> str:
        """A name for everybody."""
        return "ftpd"


def _opened(path: str) -> IO[bytes]:
    """A plain file, whatever has taken its place meanwhile. Raises OSError, FilesystemError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FilesystemError("not a plain file")
    return os.fdopen(descriptor, "rb")
