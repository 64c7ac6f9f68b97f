"""What `gpio` prints, as people read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from observatory_cli import events
from observatory_cli.arguments import word

if TYPE_CHECKING:
    from rich.table import Table

_VALUES = {
    "number": "NUMBER",
    "integer": "INTEGER",
    "boolean": "true|false",
    "tone": "NOTE",
    "color": "RED,GREEN,BLUE",
    "range": "FROM,TO",
}
_ALLOWED = {"tone": "a MIDI number or a note as A4 or C#5", "color": "three numbers from 0 to 1", "range": "two whole numbers"}
_KEYS = (
    "type",
    "value",
    "active",
    "since",
    "set_by",
    "running",
    "position",
    "position_certain",
    "error",
    "distance_m",
    "steps",
)
_COLUMNS = ("device", "type", "value", "active", "since", "set by", "running", "position", "error")


def status(seen: Mapping[str, Any]) -> str:
    """The daemon's state, in a line or two."""
    colour = {"ready": "green", "closed": "red"}.get(seen["state"], "yellow")
    lines = [f"gpiod {seen['instance']} is {click.style(seen['state'].upper(), fg=colour, bold=True)}"]
    if seen["last_error"] is not None:
        lines.append(f"   Last error: {seen['last_error']}")
    return "\n".join(lines)


def table(seen: Mapping[str, Any]) -> Table:
    """A line for each device; columns in which nobody has anything are left out."""
    from rich.table import Table
    from rich.text import Text

    rows = [_row(id, _of_device(seen, id)) for id in seen["devices"]]
    shown = [number for number in range(len(_COLUMNS)) if any(row[number] for row in rows)]
    made = Table(*(_COLUMNS[number] for number in shown), box=None, pad_edge=False)
    for row in rows:
        made.add_row(*(Text(row[number], style=_style(_COLUMNS[number], row[number])) for number in shown))
    return made


def _of_device(seen: Mapping[str, Any], id: str) -> dict[str, Any]:
    """What a status says of one device; ids may end alike, so each key is asked for by its whole name."""
    return {key: seen[f"{key}_{id}"] for key in _KEYS if f"{key}_{id}" in seen}


def _row(id: str, state: Mapping[str, Any]) -> tuple[str, ...]:
    active = "" if state.get("active") is None else "yes" if state["active"] else "no"
    told = (state["type"], _reading(state), active, (state["since"] or "")[:19], state["set_by"] or "")
    return (id, *told, state["running"] or "", _position(state), state["error"] or "")


def _style(column: str, cell: str) -> str:
    wrong = column == "error" or "UNCERTAIN" in cell
    return "red" if wrong else "bold" if column in ("device", "value") else ""


def _reading(state: Mapping[str, Any]) -> str:
    """The value, with what a sensor makes of it."""
    if state.get("value") is None:
        return ""
    distance_m, steps = state.get("distance_m"), state.get("steps")
    more = "" if distance_m is None else f" ({distance_m:.3f} m)"
    return word(state["value"]) + more + ("" if steps is None else f" (step {steps})")


def _position(state: Mapping[str, Any]) -> str:
    if "position" not in state:
        return ""
    if state["position"] is None:
        return "UNKNOWN"
    return f"{state['position']:.6g}" + ("" if state["position_certain"] else " UNCERTAIN")


def state(id: str, seen: Mapping[str, Any]) -> str:
    """One device in some lines."""
    return "\n".join(_state_lines(id, seen))


def _state_lines(id: str, seen: Mapping[str, Any]) -> Iterator[str]:
    yield f"{_name(id, seen)}: {click.style(_reading(seen) or 'no value', bold=True)}"
    position = _position(seen)
    if position:
        yield f"   Position {click.style(position, fg=None if seen['position_certain'] else 'red')}"
    if seen["running"] is not None:
        yield f"   Running {seen['running']}"
    if seen.get("off_in_s") is not None:
        yield f"   Goes off in {seen['off_in_s']:.0f} s"
    if seen["since"] is not None:
        yield f"   Since {seen['since']}" + ("" if seen["set_by"] is None else f", set by {seen['set_by']}")
    if seen["error"] is not None:
        yield f"   Error: {click.style(seen['error'], fg='red')}"


def _name(id: str, seen: Mapping[str, Any]) -> str:
    """`lamp (LED, Red lamp)`."""
    label = "" if seen["label"] is None else f", {seen['label']}"
    return f"{id} ({seen['type']}{label})"


def angle(id: str, seen: Mapping[str, Any]) -> str:
    """Where something that turns is."""
    if seen["position"] is None:
        return f"{id} is at an unknown angle"
    return f"{id} is at {seen['position']:.6g} degrees" + ("" if seen["position_certain"] else ", UNCERTAIN")


def listed(devices: list[dict[str, Any]]) -> str:
    """The devices, one on a line: id, type, direction, label."""
    rows = [(device["id"], device["type"], device["direction"], device["label"] or "") for device in devices]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    return "\n".join(
        "  ".join([*(f"{cell:<{width}}" for cell, width in zip(row[:3], widths, strict=True)), row[3]]).rstrip() for row in rows
    )


def title(device: Mapping[str, Any]) -> str:
    """What a described device is."""
    return f"{_name(device['id'], device)}: {device['description']}."


def description(device: Mapping[str, Any]) -> str:
    """All that can be done with a device, and what it tells."""
    return "\n".join(_description_lines(device))


def _description_lines(device: Mapping[str, Any]) -> Iterator[str]:
    yield title(device)
    yield f"   An {device['direction']}; {', '.join(f'{name} {line}' for name, line in device['lines'].items())}"
    configured = " ".join(f"{name}={word(value)}" for name, value in device["configured"].items())
    if configured:
        yield f"   Configured: {configured}"
    for method in device["methods"]:
        goes_on = " (may go on for a while)" if method["long"] else ""
        yield f"   {click.style(method['name'], bold=True)}  {method['description']}{goes_on}"
        for parameter in method["parameters"]:
            yield f"      {argument(parameter)}  {range_of(parameter)}"
    if device["events"]:
        yield "   Events:"
    for event in device["events"]:
        yield f"      {event['name']} ({', '.join(event['data'])})  {event['description']}"


def argument(parameter: Mapping[str, Any]) -> str:
    """`duration=NUMBER`."""
    return f"{parameter['name']}={_VALUES.get(parameter['type'], parameter['type'].upper())}"


def range_of(parameter: Mapping[str, Any]) -> str:
    """What an argument means, its range with the unit, its default."""
    low, high, kind = parameter["minimum"], parameter["maximum"], parameter["type"]
    allowed = [_ALLOWED[kind]] if kind in _ALLOWED else []
    if low is not None or high is not None:
        unit = "" if parameter["unit"] is None else f" {parameter['unit']}"
        bounds = f"from {word(low)}" if high is None else f"to {word(high)}" if low is None else f"{word(low)} to {word(high)}"
        allowed.append(bounds + unit)
    elif parameter["unit"] is not None:
        allowed.append(f"in {parameter['unit']}")
    if parameter["nullable"]:
        allowed.append("or null")
    default = "required" if parameter["required"] else f"default {word(parameter['default'])}"
    return "; ".join(part for part in (parameter["description"], ", ".join(allowed), default) if part)


def event(seen: Mapping[str, Any]) -> str:
    """An event on a line."""
    return f"{seen['date']} {seen['source']} {seen['name']} {events.words(seen['data'])}".rstrip()
