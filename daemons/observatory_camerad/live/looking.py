"""Looks at single frames."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from observatory_camerad import wire
from observatory_camerad.acquisition.frames import Frame
from observatory_camerad.acquisition.shots import Shot
from observatory_camerad.live import histogram as histograms
from observatory_common import arguments
from observatory_common.errors import CommandFailed, TimedOut

if TYPE_CHECKING:
    from observatory_camerad.parts import Parts

_FRAME_WITHIN_S = 10.0


def stream_of(parts: Parts, name: Any) -> str:
    """The stream of a name, which may be that of a use case. Raises InvalidArgument."""
    case = parts.settings.use_cases().get(name) if isinstance(name, str) else None
    stream = name if case is None else case.stream
    if isinstance(stream, str) and stream in parts.hubs:
        return stream
    used = {known for known, case in parts.settings.use_cases().items() if case.stream in parts.hubs}
    raise arguments.refused("stream", name, "one of " + ", ".join(sorted({*used, *parts.hubs})))


def histogram(parts: Parts, stream: Any) -> dict[str, Any]:
    """Of the next frame. Raises InvalidArgument, NotConnected, CommandFailed where nothing raw runs, TimedOut."""
    found = parts.worker.require().capabilities
    name = "raw" if stream == "raw" else stream_of(parts, stream)
    done: Future[dict[str, Any]] = Future()

    def taken(frame: Frame) -> None:
        actual = frame.configuration.streams.get(name)
        if actual is None:
            done.set_exception(
                CommandFailed(f"no stream {name} runs", value=name, allowed=", ".join(frame.configuration.streams))
            )
            return
        done.set_result({"pixels": frame.array(name), "format": actual.format, "size": actual.size, "frame": frame})

    shot = Shot((), taken, done.set_exception)
    parts.worker.take(shot)
    try:
        seen = done.result(_FRAME_WITHIN_S)
    except TimeoutError:
        parts.worker.cancel(shot)
        raise TimedOut(f"no frame within {_FRAME_WITHIN_S:g} s") from None
    frame: Frame = seen["frame"]
    if name != "raw":
        counted = histograms.of_picture(seen["pixels"], seen["format"])
    else:
        width, height = seen["size"]
        mode = found.mode_of(frame.configuration)
        bits = 16 if mode is None else mode.bit_depth
        pattern = seen["format"][1:5] if found.bayer_pattern is not None else None
        counted = histograms.of_raw(seen["pixels"][:height, :width], pattern, bits)
    return {"stream": stream, "frame": frame.number, "metadata": wire.metadata(frame.metadata), **counted}
