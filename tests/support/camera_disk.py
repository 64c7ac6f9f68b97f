"""A disk for pictures that can stop to answer, as a dying stick does: an ext4 in a file, frozen and thawed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class FreezingDisk:
    """Mounted in a mount namespace that goes with the process that holds it, as a SmallDisk is."""

    def __init__(self, folder: Path, size_mib: int = 64) -> None:
        if os.geteuid() != 0:
            pytest.skip("needs root, to mount a disk that can be frozen")
        image, self._mount_point = folder / "disk.img", folder / "disk"
        self._mount_point.mkdir()
        with image.open("wb") as file:
            os.truncate(file.fileno(), size_mib << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
        command = ["unshare", "--mount", "sh", "-c", 'mount -o loop "$1" "$2" && echo ready && exec cat', "sh"]
        self._holder = subprocess.Popen(
            [*command, str(image), str(self._mount_point)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        answer = self._holder.stdout.readline()
        if answer != "ready\n":
            self.close()
            pytest.skip(f"no disk can be mounted here: {answer.strip()}")
        self.path = Path(f"/proc/{self._holder.pid}/root{self._mount_point}")

    def __enter__(self) -> FreezingDisk:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Whoever writes waits meanwhile, and not even a kill ends that wait."""
        self._freeze("--freeze")
        try:
            yield
        finally:
            self._freeze("--unfreeze")

    def _freeze(self, how: str) -> None:
        command = ["nsenter", "--mount", "-t", str(self._holder.pid), "fsfreeze", how, str(self._mount_point)]
        subprocess.run(command, check=True, timeout=30)

    def close(self) -> None:
        self._holder.communicate(timeout=10)
