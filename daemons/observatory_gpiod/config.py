"""gpiod's configuration: the backend of the pins, and the devices that are wired to them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from observatory_common import paths
from observatory_common.config import COMMON_PROPERTIES, ConfigProblems, Document, Problem
from observatory_common.directory import Directory
from observatory_common.json_file import JsonPath, as_json_path
from observatory_gpiod.devices.base import DeviceConfig
from observatory_gpiod.devices.declared import Complaint, declared, twice

PIN_FACTORIES = ("lgpio", "rpigpio", "pigpio", "native", "simulated")

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        **COMMON_PROPERTIES,
        "pin_factory": {"type": "string", "enum": list(PIN_FACTORIES)},
        "chip_label": {"type": "string", "minLength": 1, "maxLength": 32},
        "simulator": {
            "type": "object",
            "properties": {"socket": {"type": "string", "minLength": 1, "maxLength": 500}},
            "required": ["socket"],
            "additionalProperties": False,
        },
        "devices": {
            "type": "array",
            "maxItems": 28,
            "items": {"type": "object", "required": ["id", "type"]},
        },
    },
    "required": ["daemon", "log_name", "control_machines", "pin_factory", "devices"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class GpiodConfig:
    """A checked config. `simulator_socket` is the path of the simulated board, None on real pins."""

    daemon: str
    log_name: str
    control_machines: tuple[str, ...]
    view_machines: tuple[str, ...] | None
    gateway_machines: tuple[str, ...]
    state_path: str | None
    pin_factory: str
    chip_label: str | None
    simulator_socket: str | None
    devices: tuple[DeviceConfig, ...]


def parse(document: Document, directory: Directory) -> GpiodConfig:
    """The config in a document that fits SCHEMA. Raises ConfigProblems with all that a schema cannot say."""
    data = document.data
    problems = _backend_problems(document)
    devices = []
    for number, item in enumerate(data["devices"]):
        device, complaints = declared(item)
        problems += [_problem(document, complaint, (number,)) for complaint in complaints]
        devices += [] if device is None else [device]
    problems += [_problem(document, complaint) for complaint in twice(list(enumerate(data["devices"])))]
    if problems:
        raise ConfigProblems(problems)
    view_machines = data.get("view_machines")
    simulator = data.get("simulator")
    return GpiodConfig(
        daemon=data["daemon"],
        log_name=data["log_name"],
        control_machines=tuple(data["control_machines"]),
        view_machines=None if view_machines is None else tuple(view_machines),
        gateway_machines=tuple(data.get("gateway_machines", ())),
        state_path=data.get("state_path"),
        pin_factory=data["pin_factory"],
        chip_label=data.get("chip_label"),
        simulator_socket=None if simulator is None else _resolved(simulator["socket"]),
        devices=tuple(devices),
    )


def _backend_problems(document: Document) -> list[Problem]:
    data = document.data
    factory = data["pin_factory"]
    if factory == "simulated" and "simulator" not in data:
        return [document.as_problem(("pin_factory",), "needs simulator, an object with the socket of the simulated board")]
    if factory != "simulated" and "simulator" in data:
        return [document.as_problem(("simulator",), f"is only for the pin_factory simulated, not for {factory}")]
    if factory != "lgpio" and "chip_label" in data:
        return [document.as_problem(("chip_label",), f"is only for the pin_factory lgpio, not for {factory}")]
    return []


def _problem(document: Document, complaint: Complaint, below: JsonPath = ()) -> Problem:
    path = ("devices", *below, *complaint.path)
    if not complaint.has_value:
        return Problem(document.path, document.line(path), as_json_path(path), None, complaint.message)
    return document.as_problem(path, complaint.message)


def _resolved(socket: str) -> str:
    """An absolute path as it is, anything else under the runtime folder."""
    return socket if Path(socket).is_absolute() else str(paths.runtime_folder() / socket)
