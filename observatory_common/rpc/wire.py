"""What may cross the wire: plain values, calls, and errors as built-in exceptions that carry a code."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

import msgpack

from observatory_common import errors
from observatory_common.arguments import shown
from observatory_common.errors import CommandFailed, InvalidArgument, ObservatoryError
from observatory_common.rpc.message import Bytes

PLAIN = "text, whole numbers of at most 64 bits, numbers, true, false, nothing, lists, dictionaries with text keys, bytes"

_SCALARS = frozenset({str, int, bool, type(None), bytes})
_DEEPEST = 32
_INFINITY = float("inf")


def to_wire(value: Any) -> Any:
    """`value` in plain types: NaN and infinity become None, tuples lists, an Enum its value.

    Raises TypeError for any other type, for a dict key that is no str, for more than 32 levels.
    """
    return value if type(value) in _SCALARS else _plain(value, 0)


def _plain(value: Any, depth: int) -> Any:
    kind = type(value)
    if kind in _SCALARS:
        return value
    if kind is float:
        return value if -_INFINITY < value < _INFINITY else None
    if depth > _DEEPEST:
        raise TypeError(f"a value of more than {_DEEPEST} levels does not cross the wire")
    depth += 1
    if kind is dict:
        if "__class__" in value:
            raise TypeError("a dict with the key __class__ does not cross the wire: Pyro would make an object of it")
        plain = {}
        for key, item in value.items():
            if type(key) is not str:
                raise TypeError(f"a dict with the key {shown(key)} does not cross the wire, only str keys do")
            plain[key] = item if type(item) in _SCALARS else _plain(item, depth)
        return plain
    if kind is list or kind is tuple:
        return [item if type(item) in _SCALARS else _plain(item, depth) for item in value]
    if isinstance(value, Enum):
        return _plain(value.value, depth)
    if kind in (bytearray, memoryview):
        return bytes(value)
    raise TypeError(f"a {kind.__module__}.{kind.__qualname__} does not cross the wire")


def dumps(value: Any) -> bytes:
    """Plain `value` as msgpack. Raises TypeError, ValueError or OverflowError for what is not plain."""
    packed: bytes = msgpack.packb(value)
    return packed


def loads(data: Bytes) -> Any:
    """The plain value in msgpack `data`. Raises InvalidArgument: nothing is ever built but plain types."""
    try:
        return msgpack.unpackb(data, ext_hook=_refuse_extension, object_hook=_check_keys)
    except InvalidArgument:
        raise
    except (ValueError, TypeError, msgpack.exceptions.UnpackException) as error:
        raise InvalidArgument(f"this is no plain msgpack: {error}", allowed=PLAIN) from None


def _refuse_extension(code: int, data: bytes) -> Any:
    raise InvalidArgument(
        f"a value of msgpack's extension type {code} (a whole number beyond 64 bits, a date, a complex number...),"
        f" expected {PLAIN}",
        value=code,
        allowed=PLAIN,
    )


def _check_keys(value: dict[Any, Any]) -> dict[str, Any]:
    for key in value:
        if type(key) is not str:
            raise InvalidArgument(f"a dictionary has the key {shown(key)}, expected text", value=shown(key), allowed=PLAIN)
    return value


def loads_call(data: Bytes) -> tuple[str, str, list[Any], dict[str, Any]]:
    """Object, method, arguments and keyword arguments of a call. Raises InvalidArgument."""
    call = loads(data)
    if type(call) is list and len(call) == 4:
        object_name, method, args, kwargs = call
        kwargs = {} if kwargs is None else kwargs
        if type(object_name) is str and type(method) is str and type(args) is list and type(kwargs) is dict:
            return object_name, method, args, kwargs
    raise InvalidArgument("this is no call: expected object, method, arguments, keyword arguments")


def batched_call(call: Any) -> tuple[str, list[Any], dict[str, Any]]:
    """Method, arguments and keyword arguments of a call in a batch. Raises InvalidArgument."""
    if type(call) is list and len(call) == 3:
        method, args, kwargs = call
        if type(method) is str and type(args) is list and type(kwargs) is dict:
            return method, args, kwargs
    raise InvalidArgument("this is no call of a batch: expected method, arguments, keyword arguments")


def batched_error(error: ObservatoryError) -> dict[str, Any]:
    """`error` as Pyro5's clients expect it among the results of a batch.

    They raise it anew from its arguments alone, so the code stands in the message too.
    """
    exception = error_to_wire(error)
    exception["args"] = [f"{error.message} (code {int(error.code)})"]
    return {"__class__": "Pyro5.core._ExceptionWrapper", "exception": exception}


def error_to_wire(error: ObservatoryError) -> dict[str, Any]:
    """`error` as Pyro5 sends a built-in exception, with the attributes code, error (the class's name), value, allowed."""
    return {
        "__class__": f"builtins.{errors.builtin_of(type(error)).__name__}",
        "__exception__": True,
        "args": [error.message],
        "attributes": {
            "code": int(error.code),
            "error": type(error).__name__,
            "value": _value_to_wire(error.value),
            "allowed": error.allowed,
        },
    }


def _value_to_wire(value: Any) -> Any:
    if type(value) in (str, bool, type(None)) or (type(value) is int and value.bit_length() < 64):
        return value
    return shown(value)


def error_from_wire(data: Any) -> ObservatoryError:
    """The error that `error_to_wire` described; one of an unknown class comes back as the class of its code."""
    if not isinstance(data, dict):
        return CommandFailed(f"the daemon sent an error that cannot be read: {shown(data)}")
    attributes = data.get("attributes")
    attributes = attributes if isinstance(attributes, Mapping) else {}
    args = data.get("args")
    message = str(args[0]) if isinstance(args, list) and args else str(data.get("__class__"))
    code = attributes.get("code")
    kind = _class_of(attributes.get("error"), code)
    error = kind(message, value=attributes.get("value"), allowed=attributes.get("allowed"))
    if isinstance(code, int):
        error.code = code
    return error


def _class_of(name: Any, code: Any) -> type[ObservatoryError]:
    known = {kind.__name__: kind for kind in errors.all_errors().values() if kind.__module__ == errors.__name__}
    if isinstance(name, str) and name in known:
        return known[name]
    for kind in known.values():
        if kind.code == code and kind is not ObservatoryError:
            return kind
    return CommandFailed
