"""gpiod's configuration: the backend of the pins, and the devices that are wired to them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from observatory_common import paths
from observatory_common.config import COMMON_PROPERTIES, ConfigProblems, DaemonConfig, Document, Problem, common_fields
from observatory_common.directory import Directory
from observatory_common.json_file import JsonPath, as_json_path
from observatory_gpiod.devices.base import DeviceConfig
from observatory_gpiod.devices.declared import Complaint, declared, twice
from observatory_gpiod.devices.table import TYPES
from observatory_gpiod.factories import KEEPING

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
class GpiodConfig(DaemonConfig):
    """A checked config. `simulator_socket` is the path of the simulated board, None on real pins."""

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
        if device is not None and data["pin_factory"] not in KEEPING:
            problems += _keep_problems(document, number, device)
    problems += [_problem(document, complaint) for complaint in twice(list(enumerate(data["devices"])))]
    if problems:
        raise ConfigProblems(problems)
    simulator = data.get("simulator")
    return GpiodConfig(
        **common_fields(data),
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


def _keep_problems(document: Document, number: int, device: DeviceConfig) -> Iterator[Problem]:
    """What would not be kept must not seem to be."""
    factory, able = document.data["pin_factory"], " and ".join(sorted(KEEPING))
    for key, value in (("on_start", device.on_start), ("on_stop", device.on_stop)):
        if key == "on_start" and TYPES[device.type].start == "keep":
            continue  # a servo is driven anew to where the journal knows it
        if value == "keep":
            complaint = Complaint((key,), f"means keep, which the pin_factory {factory} cannot; {able} can")
            given = key in document.data["devices"][number]
            yield _problem(document, replace(complaint, has_value=given), (number,))


def _problem(document: Document, complaint: Complaint, below: JsonPath = ()) -> Problem:
    path = ("devices", *below, *complaint.path)
    if not complaint.has_value:
        return Problem(document.path, document.line(path), as_json_path(path), None, complaint.message)
    return document.as_problem(path, complaint.message)


def _resolved(socket: str) -> str:
    """An absolute path as it is, anything else under the runtime folder."""
    return socket if Path(socket).is_absolute() else str(paths.runtime_folder() / socket)
