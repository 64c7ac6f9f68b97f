"""Pin factories for gpiozero, by the name that a config gives: the one that is named, or an error that says why not."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from observatory_common import arguments, paths
from observatory_common.errors import InvalidArgument, NotConnected, ObservatoryError

#: Each factory, and the options that it takes.
FACTORIES: dict[str, tuple[str, ...]] = {
    "lgpio": ("chip", "chip_label"),
    "rpigpio": (),
    "pigpio": ("host", "port"),
    "native": (),
    "simulated": ("socket", "name", "timeout_s"),
}
#: Those that can claim an output at the level it has, leave it driven when they are closed, and pass on every edge.
KEEPING = frozenset({"lgpio", "simulated"})
_GPIOZERO = {
    "rpigpio": ("gpiozero.pins.rpigpio", "RPiGPIOFactory"),
    "pigpio": ("gpiozero.pins.pigpio", "PiGPIOFactory"),
    "native": ("gpiozero.pins.native", "NativeFactory"),
}


def make(name: str, options: Mapping[str, Any] | None = None) -> Any:
    """The factory of this name, a gpiozero Factory; those in KEEPING have `edges(pin, callback)`, `close(keep=True)`, `lost`.

    Options: of `lgpio` the `chip` (its number) or its `chip_label` (else one of LABELS there), of `pigpio` `host` and `port`,
    of `simulated` the `socket` (a relative path stands under the runtime folder), `name` and `timeout_s`. No environment
    variable has a say, and gpiozero's default factory is not touched. Raises NotConnected with the reason if it cannot be
    made, InvalidArgument.
    """
    from gpiozero.exc import GPIOZeroError

    arguments.choice("pin_factory", name, FACTORIES)
    options = dict(options or {})
    unknown = options.keys() - set(FACTORIES[name])
    if unknown:
        allowed = ", ".join(FACTORIES[name]) or "none"
        raise InvalidArgument(f"the pin factory {name} has no option {', '.join(sorted(unknown))}, expected {allowed}")
    try:
        factory = _make(name, options)
    except ObservatoryError:
        raise
    except (ImportError, OSError, RuntimeError, AttributeError, GPIOZeroError) as error:
        raise NotConnected(f"the pin factory {name} cannot be made: {error or type(error).__name__}", value=name) from error
    try:
        _ = factory.board_info
    except (OSError, GPIOZeroError, AttributeError) as error:
        factory.close()
        raise NotConnected(f"the pin factory {name} does not know this board: {error}", value=name) from error
    return factory


def _make(name: str, options: dict[str, Any]) -> Any:
    if name == "simulated":
        from observatory_gpiod.factories.simulated import SimulatedFactory

        return SimulatedFactory(
            paths.runtime_folder() / arguments.text("socket", options.get("socket"), 4096),
            name=arguments.text("name", options.get("name", "gpiod"), 80),
            timeout_s=arguments.number("timeout_s", options.get("timeout_s", 2.0), 0.01, 60),
        )
    if name == "lgpio":
        chip, label = options.get("chip"), options.get("chip_label")
        return _make_lgpio(
            None if chip is None else arguments.whole_number("chip", chip, 0, 255),
            None if label is None else arguments.text("chip_label", label, 32),
        )
    module, class_name = _GPIOZERO[name]
    factory_class = getattr(importlib.import_module(module), class_name)
    if name == "pigpio":  # given, so that PIGPIO_ADDR and PIGPIO_PORT are not asked
        host = arguments.text("host", options.get("host", "localhost"))
        factory = factory_class(host=host, port=arguments.whole_number("port", options.get("port", 8888), 1, 65535))
        if factory.connection is None:
            raise NotConnected("the pin factory pigpio cannot be made: pigpiod does not answer", value=name)
        return factory
    return factory_class()


def _make_lgpio(chip: int | None, label: str | None) -> Any:
    import lgpio

    from observatory_gpiod.factories.lgpio import KeepingLGPIOFactory

    try:
        return KeepingLGPIOFactory(chip, label)
    except lgpio.error as error:
        raise NotConnected(f"the pin factory lgpio cannot be made: {error}", value=str(chip)) from error
