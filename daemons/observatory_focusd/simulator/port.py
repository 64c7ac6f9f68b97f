"""The pseudo-terminal that stands for the USB port, and the symlink under which it is found."""

from __future__ import annotations

import os
import select
import termios
import tty
from pathlib import Path


class Port:
    """A port that can be unplugged; it comes back under another name if somebody still has the old one."""

    def __init__(self, link: Path) -> None:
        self._link = link
        self._master: int | None = None
        self._slave: int | None = None

    @property
    def master(self) -> int | None:
        """The file descriptor to serve; None while unplugged."""
        return self._master

    @property
    def name(self) -> str | None:
        """The device now behind the symlink."""
        return os.ttyname(self._slave) if self._slave is not None else None

    def plug_in(self) -> None:
        """Make a new device and point the symlink at it."""
        if self._master is not None:
            return
        # The slave stays open here: the line then survives its user closing it, as a USB device does.
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave, termios.TCSANOW)
        os.set_blocking(self._master, False)
        self._link.parent.mkdir(parents=True, exist_ok=True)
        new = self._link.with_name(f".{self._link.name}.new")
        new.unlink(missing_ok=True)
        new.symlink_to(os.ttyname(self._slave))
        new.replace(self._link)

    def unplug(self) -> None:
        """Take the device and the symlink away."""
        if self._master is None or self._slave is None:
            return
        if self._link.is_symlink() and str(self._link.readlink()) == self.name:
            self._link.unlink()
        os.close(self._slave)
        os.close(self._master)
        self._master = self._slave = None

    def read(self) -> bytes:
        """What has arrived."""
        try:
            return os.read(self._master, 4096) if self._master is not None else b""
        except BlockingIOError:
            return b""

    def write(self, data: bytes) -> None:
        """Send; what finds no room within half a second is lost, as on a USB port that nobody reads."""
        while data and self._master is not None:
            try:
                data = data[os.write(self._master, data) :]
            except BlockingIOError:
                if not select.select([], [self._master], [], 0.5)[1]:
                    return
