"""Pictures from a daemon to a file, and what `cam` prints."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from observatory_common.errors import CommandFailed, TimedOut
from observatory_common.rpc.client import RemoteDaemon
from observatory_common.terminal import as_error, follow

_FIRST_FRAME_S = 10.0


def finished(camera: RemoteDaemon, job: Mapping[str, Any], timeout_s: float | None) -> dict[str, Any]:
    """A job that has succeeded. Raises how else it ended."""
    ended = follow(camera, job, str(job["kind"]), timeout_s)
    error = as_error(ended)
    if error is not None:
        raise error
    return ended


def live_frame(camera: RemoteDaemon, stream: str) -> bytes:
    """The latest frame as JPEG. Raises TimedOut if the camera brings none."""
    frame = camera.frame(stream, None, 0, _FIRST_FRAME_S)
    if frame["number"] is None:
        raise TimedOut(f"no frame within {_FIRST_FRAME_S:g} s")
    data: bytes = frame["data"]
    return data


def fetch(camera: RemoteDaemon, name: str, output: Path) -> None:
    """Copy a file of the daemon's, whole or not at all. Raises CommandFailed if it has changed on its way."""
    pieces, digest, offset = [], hashlib.sha256(), 0
    while True:
        piece = camera.read_file(name, offset)
        pieces.append(piece["data"])
        digest.update(piece["data"])
        offset += len(piece["data"])
        if piece["eof"]:
            break
    if digest.hexdigest() != piece["sha256"]:
        raise CommandFailed(f"{name} has arrived damaged, or was changed meanwhile")
    write(output, b"".join(pieces))


def write(output: Path, data: bytes) -> None:
    """Replace a file, whole or not at all. Raises CommandFailed."""
    beside = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        beside.write_bytes(data)
        beside.replace(output)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise CommandFailed(f"{output} cannot be written: {error.strerror}") from error


def status_text(status: Mapping[str, Any]) -> str:
    """The status in some lines."""
    state = status["state"]
    colour = {"streaming": "green", "offline": "red"}.get(state, "yellow")
    lines = [f"{status['instance']} is {click.style(state.upper(), fg=colour, bold=True)}"]
    if status["model"] is not None:
        lines[0] += f" ({status['model']}, {status['driver']})"
    if status["ExposureTime"] is not None:
        lines.append(f"Exposure: {status['ExposureTime'] / 1e6:.6f} s, gain {status['AnalogueGain']:.2f}")
    for name, stream in status["streams"].items():
        lines.append(f"Stream {name}: {stream['size'][0]}x{stream['size'][1]} {stream['format']}")
    if status["last_error"] is not None:
        lines.append(f"Last error: {status['last_error']}")
    return "\n".join(lines)


def control_text(name: str, info: Mapping[str, Any]) -> str:
    """A control on a line."""
    if info["values"]:
        allowed = " ".join(f"{word}={number}" for word, number in info["values"].items())
    elif info["type"] == "bool":
        allowed = "true or false"
    else:
        times = f"{info['count']} x " if info["count"] > 1 else ""
        allowed = f"{times}{info['minimum']} to {info['maximum']} {info['unit']}".rstrip()
    described = f"  ({info['description']})" if info["description"] else ""
    return f"{name:<22} {allowed}{described}"
