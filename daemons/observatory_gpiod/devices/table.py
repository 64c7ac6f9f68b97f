"""The one table of device types, and the checks of what a client sends against it."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from observatory_common.arguments import shown
from observatory_common.errors import InvalidArgument, UnknownMethod
from observatory_common.json_file import nearest
from observatory_gpiod.devices.description import DeviceType, Method, Parameters
from observatory_gpiod.devices.input_types import INPUT_TYPES
from observatory_gpiod.devices.motion_types import MOTION_TYPES
from observatory_gpiod.devices.output_types import OUTPUT_TYPES
from observatory_gpiod.devices.values import accepted

#: Every type of device by its name.
TYPES = MappingProxyType({type.name: type for type in (*INPUT_TYPES, *OUTPUT_TYPES, *MOTION_TYPES)})


def describe() -> list[dict[str, Any]]:
    """Every type: pins, parameters, methods, events, as plain types; enough to draw a form."""
    return [type.described() for type in TYPES.values()]


def defaults(type: DeviceType) -> dict[str, Any]:
    """The parameters of a type with nothing configured."""
    return {parameter.name: parameter.default for parameter in type.parameters}


def checked(type: DeviceType, method: Any, arguments: Any, parameters: Parameters | None = None) -> dict[str, Any]:
    """The arguments of a method, complete and in range, for a device of this type with these parameters.

    Raises UnknownMethod for what is not in the table, InvalidArgument for what the method does not take; both name what
    is allowed.
    """
    found = _method(type, method, defaults(type) if parameters is None else parameters)
    known = {parameter.name: parameter for parameter in found.parameters}
    if not isinstance(arguments, dict):
        raise InvalidArgument(
            f"arguments is {shown(arguments)}, expected an object", value=shown(arguments), allowed="an object"
        )
    for name in arguments:
        if name not in known:
            allowed = ", ".join(known) or "none"
            message = f"{type.name}.{found.name} has no argument {shown(name)}, expected {allowed}{nearest(name, known)}"
            raise InvalidArgument(message, value=shown(name), allowed=allowed)
    complete = {}
    for name, parameter in known.items():
        if name in arguments:
            complete[name] = accepted(parameter, arguments[name])
        elif parameter.required:
            raise InvalidArgument(f"{type.name}.{found.name} lacks the argument {name}", allowed=", ".join(known))
        else:
            complete[name] = parameter.default
    return complete


def _method(type: DeviceType, name: Any, parameters: Parameters) -> Method:
    found = type.method(name, parameters) if isinstance(name, str) else None
    if found is None:
        names = [method.name for method in type.methods]
        allowed = ", ".join(names) or "none: it is an input"
        message = f"{type.name} has no method {shown(name)}, expected {allowed}{nearest(name, names)}"
        raise UnknownMethod(message, value=shown(name), allowed=allowed)
    return found
