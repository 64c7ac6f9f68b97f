"""What `cam` prints, as people read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from observatory_cli import events
from observatory_cli.arguments import word

_COLOURS = {"idle": "green", "acquiring": "yellow", "offline": "red"}
_SHOWN_FROM_S = 1.0  # shorter exposures are over before anybody has read how far they are


def status(seen: Mapping[str, Any]) -> str:
    """The status in some lines; of a camera that is offline only what is known."""
    return "\n".join(_status_lines(seen))


def _status_lines(seen: Mapping[str, Any]) -> Iterator[str]:
    state = seen["state"]
    line = f"Camera {seen['instance']} is {click.style(state.upper(), fg=_COLOURS.get(state, 'yellow'), bold=True)}"
    progress = exposing(seen)
    yield line if progress is None else f"{line} ({click.style(progress, bold=True)})"
    if seen["sequence_frame_limit"] is not None:
        yield f"   Acquiring {click.style(acquiring(seen), bold=True)}"
    if seen["recording"] is not None:
        seconds = 0.0 if seen["recording_s"] is None else seen["recording_s"]
        yield f"   Recording {seen['recording']} ({seconds:.1f}s)"
    if state != "offline":
        yield from _reading_lines(seen)
    if seen["settings_changed"]:
        yield "   Settings differ from the configuration: see `cam settings`"
    if seen["last_error"] is not None:
        yield f"   Last error: {seen['last_error']}"


def _reading_lines(seen: Mapping[str, Any]) -> Iterator[str]:
    if seen["model"] is not None:
        yield f"   {seen['model']}, by the driver {seen['driver']}"
    if seen["exposure_time"] is not None:
        gain = seen["AnalogueGain"]
        yield f"   Exposure {duration(seen['exposure_time'])}" + ("" if gain is None else f", gain {gain:.2f}")
    if seen["SensorTemperature"] is not None:
        yield f"   Sensor at {seen['SensorTemperature']:.1f} °C"
    if seen["LensPosition"] is not None:
        yield f"   Lens at {seen['LensPosition']:.2f} dioptres"
    for name, stream in seen["streams"].items():
        yield f"   Stream {name}: {size(stream['size'])} {stream['format']}"


def exposing(seen: Mapping[str, Any]) -> str | None:
    """`12.3 / 30.0s` while a long exposure is under way."""
    whole_s, done_s = seen["exposure_time"], seen["exposure_progress"]
    if whole_s is None or done_s is None or whole_s < _SHOWN_FROM_S:
        return None
    return f"{done_s:.1f} / {whole_s:.1f}s"


def acquiring(seen: Mapping[str, Any]) -> str:
    """`frame 3 / 10`, or `UNTIL STOPPED`."""
    limit, count = seen["sequence_frame_limit"], seen["sequence_frame_count"]
    return f"frame {min(count + 1, limit)} / {limit}" if limit else "UNTIL STOPPED"


def control(name: str, info: Mapping[str, Any], seen: Any = None) -> str:
    """A control on a line: its range, its default, and what it is: as it was set, else as the latest frame says."""
    if info["values"]:
        allowed = " ".join(f"{word}={number}" for word, number in info["values"].items())
    elif info["type"] == "bool":
        allowed = "true or false"
    else:
        times = f"{info['count']} x " if info["count"] > 1 else ""
        allowed = f"{times}{info['minimum']} to {info['maximum']} {info['unit']}".rstrip()
    default = "" if info["default"] is None else f"  default {_value(info['default'], info['values'])}"
    now = seen if info["value"] is None else info["value"]
    value = "" if now is None else f"  now {click.style(_value(now, info['values']), bold=True)}"
    described = f"  ({info['description']})" if info["description"] else ""
    return f"{name:<22} {allowed}{default}{value}{described}"


def _value(value: Any, names: Mapping[str, int]) -> str:
    """As `cam set` takes it: a number that has a name by its name."""
    named = (name for name, number in names.items() if type(value) is int and number == value)
    return next(named, word(value))


def mode(number: int, found: Mapping[str, Any]) -> str:
    """A mode of the sensor on a line."""
    fastest = 1e6 / found["shortest_frame_us"] if found["shortest_frame_us"] else 0.0
    shortest, longest = (duration(microseconds / 1e6) for microseconds in found["exposure_us"])
    return (
        f"{number:>2}  {size(found['size']):<11} {found['bit_depth']:>2} bit  {found['format']:<10} "
        f"up to {fastest:.1f} frames/s  exposure {shortest} to {longest}"
    )


def properties(found: Mapping[str, Any]) -> str:
    """What a camera is."""
    pixel = found["pixel_size_um"]
    rows = {
        "Model": found["model"],
        "Driver": found["driver"],
        "Location": found["location"],
        "Sensor": f"{size(found['sensor_size'])} pixels" + ("" if pixel is None else f" of {pixel:g} um"),
        "Mosaic": found["bayer_pattern"] or "none",
        "Modes": f"{len(found['modes'])}, see `cam modes`",
        "Features": ", ".join(found["features"]) or "none",
        **{f"Stream {name}": ", ".join(formats) for name, formats in found["streams"].items()},
    }
    return "\n".join(f"{label + ':':<14} {value}" for label, value in rows.items())


def use_case(name: str, case: Mapping[str, Any]) -> str:
    """A use case on a line."""
    mode = "" if case["mode"] is None else f", mode {case['mode']}"
    controls = "".join(f" {key}={value}" for key, value in case["controls"].items())
    running = "running" if case["running"] else "when needed, with a gap in the live view"
    return f"{name:<6} {case['stream']:<6} {size(case['size'])} {case['format']}{mode}{controls}  ({running})"


def settings(found: Mapping[str, Any]) -> str:
    """What differs from the config, and the names of what was saved."""
    lines = [f"{name}={value}" for name, value in found["controls"].items()]
    lines += [
        f"use case {name}: {case['stream']} {size(case['size'])} {case['format']}" for name, case in found["use_cases"].items()
    ]
    saved = ", ".join(found["saved"]) or "none"
    return "\n".join([*(lines or ["As the configuration says."]), f"Saved: {saved}"])


def event(seen: Mapping[str, Any]) -> str:
    """An event on a line."""
    return f"{seen['date']} {seen['name']} {events.words(seen['data'])}".rstrip()


def file(seen: Mapping[str, Any]) -> str:
    """A file on a line."""
    from datetime import UTC, datetime

    written = datetime.fromtimestamp(seen["modified_s"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"{written} {seen['size']:>12} {seen['name']}"


def size(pixels: Any) -> str:
    """`1280x720`."""
    return f"{pixels[0]}x{pixels[1]}"


def duration(seconds: float) -> str:
    """`30.000 s`, with more digits where it is shorter."""
    return f"{seconds:.3f} s" if seconds >= 1 else f"{seconds:.6f} s"
