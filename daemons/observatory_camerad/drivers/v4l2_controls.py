"""The controls and modes of a V4L2 device, by libcamera's names where the thing is the same.

Ranges and steps are the device's own. Where V4L2 gives no unit (gain, focus, brightness) there is none.
"""

from __future__ import annotations

import errno
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from observatory_camerad.drivers.base import ControlInfo, SensorMode
from observatory_common.arguments import shown
from observatory_common.errors import CommandFailed, DeviceLost, NotConnected

_EXPOSURE_UNIT_US = 100
_AUTO_EXPOSURE, _MANUAL_EXPOSURE, _SHUTTER_PRIORITY, _APERTURE_PRIORITY = range(4)
_GONE = (errno.ENODEV, errno.ENXIO, errno.EIO)


@dataclass(frozen=True)
class _Known:
    """How a control of V4L2 is called here, in what unit; V4L2's number times `scale` is ours."""

    name: str
    type: str = "int"
    unit: str = ""
    scale: int = 1
    description: str = ""
    automatic: str | None = None  # what must be off for it to be set


#: By the names of linux/v4l2-controls.h without their prefix.
_KNOWN = {
    "EXPOSURE_ABSOLUTE": _Known(
        "ExposureTime", "int", "us", _EXPOSURE_UNIT_US, "how long a frame collects light; turns AeEnable off", "AeEnable"
    ),
    "GAIN": _Known("AnalogueGain", "float", "", 1, "the device's own steps, not a factor; turns AeEnable off", "AeEnable"),
    "WHITE_BALANCE_TEMPERATURE": _Known("ColourTemperature", "int", "K", 1, "turns AwbEnable off", "AwbEnable"),
    "FOCUS_ABSOLUTE": _Known("FocusAbsolute", "int", "", 1, "the device's own steps; turns autofocus off", "AfMode"),
    "BRIGHTNESS": _Known("Brightness", description="the device's own steps"),
    "CONTRAST": _Known("Contrast", description="the device's own steps"),
    "SATURATION": _Known("Saturation", description="the device's own steps"),
    "SHARPNESS": _Known("Sharpness", description="the device's own steps"),
}
_AUTOMATICS = {
    "EXPOSURE_AUTO": "AeEnable",
    "AUTOGAIN": "AeEnable",
    "AUTO_WHITE_BALANCE": "AwbEnable",
    "FOCUS_AUTO": "AfMode",
}
_OFF: dict[str, Any] = {"AeEnable": False, "AwbEnable": False, "AfMode": 0}
_AF_MODES = {"Manual": 0, "Continuous": 2}
_READINGS = ("ExposureTime", "AnalogueGain", "ColourTemperature", "FocusAbsolute")


def refuse_unless_allowed(name: str, value: Any, info: ControlInfo) -> None:
    """Raises CommandFailed, naming value and range, for what this control cannot be."""
    values = value if isinstance(value, (tuple, list)) else (value,)
    low = -math.inf if info.minimum is None else info.minimum
    high = math.inf if info.maximum is None else info.maximum
    kinds = {"bool": (bool,), "int": (int,), "float": (int, float)}[info.type]
    right = len(values) == info.count and all(type(item) in kinds and low <= item <= high for item in values)
    if not right or (info.values and value not in info.values.values()):
        allowed = ", ".join(map(str, info.values.values())) or f"{info.count} {info.type} from {info.minimum} to {info.maximum}"
        raise CommandFailed(f"{name} is {shown(value)}, expected {allowed}", value=shown(value), allowed=allowed)


class DeviceControls:
    """The controls of a linuxpy device that is open. `infos` are those that can be set."""

    def __init__(self, device: Any) -> None:
        self.infos: dict[str, ControlInfo] = {}
        self._device = device
        self._raw: dict[str, Any] = {}  # by our name
        self._automatics: dict[str, list[tuple[str, Any]]] = {}  # our name -> V4L2's name and control
        self._scales: dict[str, _Known] = {}
        for raw in _listed(device):
            self._add(raw)

    def set(self, values: Mapping[str, Any]) -> None:
        """Set all that are in `infos`, automatics first. Raises CommandFailed before anything is set for a value out of
        range, and for what the device refuses; DeviceLost when it has gone."""
        for name, value in values.items():
            refuse_unless_allowed(name, value, self.infos[name])
        wanted = dict(values)
        for name in values:
            automatic = self._scales[name].automatic if name in self._scales else None
            if automatic in self._automatics:
                wanted[str(automatic)] = _OFF[str(automatic)]
        for name in sorted(wanted, key=lambda name: name not in self._automatics):
            try:
                self._set(name, wanted[name])
            except OSError as error:
                kind = DeviceLost if error.errno in _GONE else CommandFailed
                raise kind(f"the camera refuses {name} {wanted[name]}: {error.strerror}", value=wanted[name]) from error

    def readings(self) -> dict[str, Any]:
        """What the device says of itself now. What an automatic changes without the device reporting it is left out."""
        found: dict[str, Any] = {}
        for name in _READINGS:
            if name in self._raw and self._is_known(name):
                try:
                    found[name] = self._from_raw(name, self._read(self._raw[name]))
                except OSError:
                    continue  # a reading that cannot be had now is absent; a device that has gone delivers no frame either
        return found

    def _add(self, raw: Any) -> None:
        from linuxpy.video.device import ControlFlag, ControlID, ControlType

        symbol = ControlID(raw.id).name if raw.id in ControlID._value2member_map_ else ""
        if symbol in _AUTOMATICS:
            self._add_automatic(_AUTOMATICS[symbol], symbol, raw)
            return
        own = raw.name.decode(errors="replace")
        known = _KNOWN.get(symbol) or _Known(own, "bool" if raw.type == ControlType.BOOLEAN else "int")
        self._raw[known.name] = raw
        self._scales[known.name] = known
        if not raw.flags & ControlFlag.READ_ONLY:
            self.infos[known.name] = ControlInfo(
                known.type,
                raw.minimum * known.scale,
                raw.maximum * known.scale,
                self._from_raw(known.name, raw.default_value),
                known.unit,
                known.description,
                values=self._menu(raw),
            )

    def _add_automatic(self, name: str, symbol: str, raw: Any) -> None:
        self._automatics.setdefault(name, []).append((symbol, raw))
        if name == "AfMode":
            default = 2 if raw.default_value else 0
            self.infos[name] = ControlInfo("int", 0, 2, default, description="who moves the lens", values=_AF_MODES)
            return
        on = raw.default_value != _MANUAL_EXPOSURE if symbol == "EXPOSURE_AUTO" else bool(raw.default_value)
        description = "auto exposure and gain" if name == "AeEnable" else "auto white balance"
        self.infos[name] = ControlInfo("bool", 0, 1, on, description=description)

    def _set(self, name: str, value: Any) -> None:
        if name not in self._automatics:
            known = self._scales[name]
            self._write(self._raw[name], round(value / known.scale))
            return
        for symbol, raw in self._automatics[name]:
            self._write(raw, self._exposure_word(raw, bool(value)) if symbol == "EXPOSURE_AUTO" else int(bool(value)))

    def _exposure_word(self, raw: Any, automatic: bool) -> int:
        """Which of V4L2's four kinds of auto exposure means on, or off, for this device: few have all of them."""
        offered = self._menu(raw).values()
        order = (_AUTO_EXPOSURE, _APERTURE_PRIORITY) if automatic else (_MANUAL_EXPOSURE, _SHUTTER_PRIORITY)
        return next((word for word in order if word in offered), order[0])

    def _is_known(self, name: str) -> bool:
        from linuxpy.video.device import ControlFlag

        automatic = self._scales[name].automatic
        if automatic not in self._automatics or self._raw[name].flags & ControlFlag.VOLATILE:
            return True
        return not any(
            self._read(raw) in (_AUTO_EXPOSURE, _APERTURE_PRIORITY) if symbol == "EXPOSURE_AUTO" else self._read(raw)
            for symbol, raw in self._automatics[str(automatic)]
        )

    def _from_raw(self, name: str, value: int) -> Any:
        known = self._scales[name]
        return {"bool": bool, "int": int, "float": float}[known.type](value * known.scale)

    def _read(self, raw: Any) -> int:
        from linuxpy.video.device import get_controls_values

        return int(get_controls_values(self._device, [raw])[0])

    def _write(self, raw: Any, value: int) -> None:
        from linuxpy.video.device import set_controls_values

        set_controls_values(self._device, [(raw, value)])

    def _menu(self, raw: Any) -> dict[str, int]:
        from linuxpy.video.device import ControlType, MenuControl

        if raw.type not in (ControlType.MENU, ControlType.INTEGER_MENU):
            return {}
        return {str(text): number for number, text in MenuControl(self._device, raw, None).data.items()}


def _listed(device: Any) -> list[Any]:
    """The controls that are one number each and can be read."""
    from linuxpy.video.device import ControlFlag, ControlType, iter_read_controls

    kinds = (ControlType.INTEGER, ControlType.BOOLEAN, ControlType.MENU, ControlType.INTEGER_MENU, ControlType.INTEGER64)
    hidden = ControlFlag.DISABLED | ControlFlag.WRITE_ONLY | ControlFlag.HAS_PAYLOAD
    return [raw for raw in iter_read_controls(device) if raw.type in kinds and not raw.flags & hidden]


def _captures(device: Any) -> bool:
    from linuxpy.video.device import BufferType

    return BufferType.VIDEO_CAPTURE in device.info.buffers


def modes_of(device: Any, exposure: ControlInfo | None) -> tuple[SensorMode, ...]:
    """What a device can be read out as, the largest and fastest first. A shortest frame of 1 us is one that it does not say,
    exposures of 0 us likewise."""
    from linuxpy.video.device import BufferType, FrameSizeType, human_pixel_format

    exposure_us = (0, 0) if exposure is None else (int(exposure.minimum or 0), int(exposure.maximum or 0))
    found = []
    for format in device.info.buffer_formats(BufferType.VIDEO_CAPTURE):
        for listed in device.info.format_frame_sizes(format.pixel_format):
            discrete = listed.type == FrameSizeType.DISCRETE
            size = (listed.info.width, listed.info.height) if discrete else (listed.info.max_width, listed.info.max_height)
            rates = [max(t.min_fps, t.max_fps) for t in device.info.fps_intervals(format.pixel_format, *size)]
            shortest_us = round(1e6 / max(rates)) if rates and max(rates) > 0 else 1
            name = human_pixel_format(format.pixel_format)
            found.append(SensorMode(size, 8, name, (0, 0, *size), shortest_us, exposure_us))
    return tuple(sorted(found, key=lambda mode: (-mode.size[0] * mode.size[1], mode.shortest_frame_us)))


def described(path: str) -> tuple[Any, DeviceControls, tuple[SensorMode, ...], str]:
    """A linuxpy device, opened, with its controls, modes and name. Raises NotConnected with the reason."""
    from linuxpy.video.device import Device

    device = Device(path)
    try:
        device.open()
        captures = _captures(device)
        if captures:
            controls = DeviceControls(device)
            return device, controls, modes_of(device, controls.infos.get("ExposureTime")), str(device.info.card)
    except (OSError, ValueError) as error:
        device.close()
        raise NotConnected(f"{path} cannot be opened as a camera: {error}", value=path) from error
    device.close()
    raise NotConnected(f"{path} captures no video", value=path)
