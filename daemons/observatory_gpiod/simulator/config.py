"""The simulated board's config: where its socket is, and what is wired to what."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from observatory_common import paths
from observatory_common.config import Document
from observatory_common.directory import Directory
from observatory_common.json_file import ConfigProblems, Problem
from observatory_gpiod.simulator.instruments import Distance, Encoder, Light, Servo, Stepper
from observatory_gpiod.simulator.wires import Button, Loop, Sensor, Wire

KIND = "gpiod-simulator"

_PIN: dict[str, Any] = {"type": "integer", "minimum": 0, "maximum": 27}
_DURATION: dict[str, Any] = {"type": "number", "exclusiveMinimum": 0, "maximum": 86400}
_SCHEDULE: dict[str, Any] = {
    "at_s": {"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 86400}, "maxItems": 1000},
    "every_s": {"type": "number", "minimum": 0.01, "maximum": 86400},
}
_CENTIMETRES: dict[str, Any] = {"type": "number", "minimum": 2, "maximum": 1000}
_PART: dict[str, Any] = {"type": "number", "minimum": 0, "maximum": 1}
_DEGREES: dict[str, Any] = {"type": "number", "minimum": -720, "maximum": 720}
_PULSE: dict[str, Any] = {"type": "number", "minimum": 0.0001, "maximum": 0.02}
_SENSOR: dict[str, Any] = {"pin": _PIN, "active": {"enum": ["high", "low"]}, "for_s": _DURATION, **_SCHEDULE}

#: Each type of thing that can be wired: its class, and its keys beside `type` and `label`.
TYPES: dict[str, tuple[type[Wire], dict[str, Any]]] = {
    "button": (
        Button,
        {
            "pin": _PIN,
            "to": {"enum": ["ground", "3v3"]},
            "for_s": _DURATION,
            "bounces": {"type": "integer", "minimum": 0, "maximum": 100},
            "bounce_s": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
            **_SCHEDULE,
        },
    ),
    "motion": (Sensor, _SENSOR),
    "line": (Sensor, _SENSOR),
    "loop": (Loop, {"from": _PIN, "to": _PIN}),
    "distance": (
        Distance,
        {
            "trigger": _PIN,
            "echo": _PIN,
            "distance_cm": _CENTIMETRES,
            "swing_cm": {**_CENTIMETRES, "minimum": 0},
            "period_s": _DURATION,
        },
    ),
    "light": (
        Light,
        {"pin": _PIN, "light": _PART, "swing": _PART, "period_s": _DURATION, "dark_charge_s": {**_DURATION, "maximum": 10}},
    ),
    "encoder": (
        Encoder,
        {
            "a": _PIN,
            "b": _PIN,
            "steps": {"type": "integer", "minimum": -1000, "maximum": 1000},
            "step_s": {"type": "number", "minimum": 0.0001, "maximum": 10},
            **_SCHEDULE,
        },
    ),
    "stepper": (
        Stepper,
        {
            "pins": {"type": "array", "items": _PIN, "minItems": 4, "maxItems": 4, "uniqueItems": True},
            "stride_angle": {"type": "number", "exclusiveMinimum": 0, "maximum": 90},
            "gear_reduction": {"type": "number", "exclusiveMinimum": 0, "maximum": 10000},
        },
    ),
    "servo": (
        Servo,
        {"pin": _PIN, "min_pulse_s": _PULSE, "max_pulse_s": _PULSE, "min_angle": _DEGREES, "max_angle": _DEGREES},
    ),
}


def _of_type(name: str) -> dict[str, Any]:
    kind, keys = TYPES[name]
    then = {
        "properties": {"type": {}, "label": {}, **keys},
        "required": [*kind.DRIVES, *kind.SEES],
        "additionalProperties": False,
    }
    return {"if": {"properties": {"type": {"const": name}}}, "then": then}


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "socket": {"type": "string", "minLength": 1},
        "on_release": {"enum": ["hold", "input"]},
        "history": {"type": "integer", "minimum": 1000, "maximum": 1_000_000},
        "queue": {"type": "integer", "minimum": 16, "maximum": 1_000_000},
        "wiring": {
            "type": "array",
            "maxItems": 100,
            "items": {
                "type": "object",
                "properties": {"type": {"enum": list(TYPES)}, "label": {"type": "string", "minLength": 1, "maxLength": 80}},
                "required": ["type"],
                "allOf": [_of_type(name) for name in TYPES],
            },
        },
    },
    "additionalProperties": False,
}


@dataclass(frozen=True)
class BoardConfig:
    """Where the socket is, how the board behaves, and its wiring (objects of the config, checked)."""

    socket: Path
    holds_released: bool
    history: int
    queue: int
    wiring: tuple[dict[str, Any], ...]


def socket_of(instance: str) -> Path:
    """Where the board of this name has its socket, unless its config names another."""
    return paths.runtime_folder() / KIND / instance


def parse(document: Document, _directory: Directory) -> BoardConfig:
    """The config in a document that fits SCHEMA. A relative `socket` stands under the runtime folder.

    Raises ConfigProblems where two things drive one line.
    """
    data = document.data
    drives: dict[int, str] = {}
    problems: list[Problem] = []
    for n, wire in enumerate(data.get("wiring", ())):
        for key in TYPES[wire["type"]][0].DRIVES:
            other = drives.setdefault(wire[key], f"$.wiring[{n}].{key}")
            if other != f"$.wiring[{n}].{key}":
                problems.append(document.as_problem(("wiring", n, key), f"is driven by {other} already"))
        if wire["type"] == "loop" and wire["from"] == wire["to"]:
            problems.append(document.as_problem(("wiring", n, "to"), "is the line that it comes from"))
        if wire["type"] == "servo" and wire.get("min_pulse_s", 0.001) >= wire.get("max_pulse_s", 0.002):
            problems.append(document.as_problem(("wiring", n, "min_pulse_s"), "is not below max_pulse_s"))
    if problems:
        raise ConfigProblems(problems)
    return BoardConfig(
        socket=paths.runtime_folder() / data.get("socket", f"{KIND}/{paths.instance_of(document.path)}"),
        holds_released=data.get("on_release", "hold") == "hold",
        history=data.get("history", 100_000),
        queue=data.get("queue", 10_000),
        wiring=tuple(data.get("wiring", ())),
    )
