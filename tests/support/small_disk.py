"""A small file system of its own, which can be filled and made read-only."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest


class SmallDisk:
    """A tmpfs in a mount namespace that goes with the process that holds it, so nothing is left mounted whatever happens."""

    def __init__(self, mount_point: Path, size_mib: int) -> None:
        script = 'mount -t tmpfs -o "size=$1m" small "$2" && echo ready && exec cat'
        command = ["unshare", "--mount", "sh", "-c", script, "sh", str(size_mib), str(mount_point)]
        self._mount_point = mount_point
        self._holder = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        answer = self._holder.stdout.readline()
        if answer != "ready\n":
            self.close()
            pytest.skip(f"no file system can be mounted here: {answer.strip()}")
        self.path = Path(f"/proc/{self._holder.pid}/root{mount_point}")

    def __enter__(self) -> SmallDisk:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fill(self, leave_bytes: int = 0) -> Path:
        """Fill it with a file of somebody else's, but for some bytes, and return that."""
        filler = self.path / "filler.bin"
        with filler.open("ab") as file:
            while (left := self.free() - leave_bytes) > 0:
                os.write(file.fileno(), bytes(min(left, 1 << 20)))
        return filler

    def free(self) -> int:
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize

    def make_read_only(self) -> None:
        self._mount("-o", "remount,ro", str(self._mount_point))

    def cover(self, folder: Path) -> None:
        """Make a folder on it read-only, although files in it are open for writing."""
        self._mount("--bind", "-o", "ro", str(folder), str(folder))

    def _mount(self, *options: str) -> None:
        subprocess.run(["nsenter", "--mount", "-t", str(self._holder.pid), "mount", *options], check=True)

    def close(self) -> None:
        self._holder.communicate(timeout=10)
