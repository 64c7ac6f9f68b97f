"""Files of a camera, copied to this machine: whole, checked, or not at all."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import click

from observatory_cli.cam.waiting import Bar, Bars
from observatory_common.errors import CommandFailed, ObservatoryError
from observatory_common.rpc.client import RemoteDaemon

_BAR_AFTER_S = 1.0


def fetch(camera: RemoteDaemon, name: str, output: Path) -> dict[str, Any]:
    """Copy a file of the camera's to a file, into a folder, or for `-` to standard output; returns what was copied.

    A file that is there is replaced, once its copy is complete. Raises CommandFailed if it cannot be written, or has
    changed on its way (by its SHA-256).
    """
    if output.is_dir():
        output = output / Path(name).name
    with writing(output) as file:
        size, sha256 = _copied(camera, name, file)
    return {"name": name, "file": str(output), "size": size, "sha256": sha256}


def require_place(output: Path) -> None:
    """Refuse a place that cannot be written to, before anything is taken for it. Raises CommandFailed, UsageError."""
    if str(output) == "-":
        _require_no_terminal()
        return
    target = Path(os.path.realpath(output))
    if target.is_dir():
        place: Path = target
    elif target.is_file() or not target.exists():
        place = target.parent  # a file is written beside, then renamed
    else:
        return
    if not place.is_dir():
        raise CommandFailed(f"{output} cannot be written: there is no folder {place}", value=str(output))
    if not os.access(place, os.W_OK | os.X_OK):
        raise CommandFailed(f"{output} cannot be written: Permission denied", value=str(output))


def _require_no_terminal() -> None:
    if sys.stdout.isatty():
        raise click.UsageError("a picture is not for a terminal: send standard output to a file or a pipe")


def _copied(camera: RemoteDaemon, name: str, file: IO[bytes]) -> tuple[int, str]:
    digest, offset, began = hashlib.sha256(), 0, time.monotonic()
    with Bars() as bars:
        while True:
            piece = camera.read_file(name, offset)
            file.write(piece["data"])
            digest.update(piece["data"])
            offset += len(piece["data"])
            if piece["eof"]:
                break
            if not piece["data"]:
                raise CommandFailed(f"{name} ended after {offset} bytes of {piece['size']}")
            if time.monotonic() - began > _BAR_AFTER_S:
                bars.show([Bar(name, offset, piece["size"], f"{offset / 1e6:.1f} / {piece['size'] / 1e6:.1f} MB")])
    if digest.hexdigest() != piece["sha256"]:
        raise CommandFailed(f"{name} has arrived damaged, or was changed meanwhile")
    return offset, digest.hexdigest()


@contextmanager
def writing(output: Path) -> Iterator[IO[bytes]]:
    """A file to write to, which takes its name when all has gone well, else vanishes. `-` is standard output.

    Raises CommandFailed; a device or pipe is written to as it is.
    """
    if str(output) == "-":
        _require_no_terminal()
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    target = Path(os.path.realpath(output))
    whole = target.is_file() or not target.exists()
    beside = target.with_name(f".cam-{os.getpid()}.part") if whole else target
    try:
        try:
            with beside.open("wb") as file:
                yield file
                if whole:
                    file.flush()
                    os.fsync(file.fileno())
            if whole:
                beside.replace(target)
        except BaseException:
            if whole:
                beside.unlink(missing_ok=True)
            raise
    except ObservatoryError:  # some of them are OSErrors too
        raise
    except OSError as error:
        raise CommandFailed(f"{output} cannot be written: {error.strerror or error}", value=str(output)) from error
