"""raspiCamSrv's `probe`: the properties that can be read, by the words in which its users ask. Nothing is ever evaluated.

docs/raspicamsrv-api.md has the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from observatory_common.arguments import shown
from observatory_common.errors import CommandFailed, DaemonNotReachable, InvalidArgument, ObservatoryError, UnknownDevice
from observatory_common.json_file import nearest
from observatory_webd.legacy.answers import BadRequest
from observatory_webd.legacy.cameras import Looks, look

if TYPE_CHECKING:
    from observatory_webd.services import Services

_MOST = 100
_LONGEST = 200
_CFG = "CameraCfg()."
_CONTROLS = f"{_CFG}controls."
_FILTERS = {"RGGB": 0, "GRBG": 1, "GBRG": 2, "BGGR": 3}  # libcamera's ColorFilterArrangement
_MONOCHROME = 5


class _Camera:
    """The active camera, of which each part is asked for once in a request."""

    def __init__(self, looks: Looks) -> None:
        self.looks = looks
        self._asked: dict[str, Any] = {}

    @property
    def number(self) -> int:
        """Its number; -1 without one."""
        return -1 if self.looks.active is None else self.looks.active.number

    @property
    def status(self) -> dict[str, Any]:
        """Its status. Raises UnknownDevice, DaemonNotReachable."""
        active = self.looks.active
        if active is None:
            raise UnknownDevice("no camera is configured")
        if active.error is not None:
            raise DaemonNotReachable(active.error, value=active.link.name)
        return active.status

    def part(self, method: str) -> Any:
        """What `prepare` has asked for."""
        found = self._asked[method]
        if isinstance(found, ObservatoryError):
            raise found
        return found

    async def prepare(self, method: str) -> None:
        """Ask it for something, if that has not been done yet."""
        if method in self._asked:
            return
        try:
            _ = self.status
            assert self.looks.active is not None
            self._asked[method] = await self.looks.active.link.call(method)
        except ObservatoryError as error:
            self._asked[method] = error


_Read = Callable[[_Camera], Any]


def _flag(of: Callable[[Looks], bool]) -> _Read:
    return lambda camera: of(camera.looks)


_SERVER: dict[str, _Read] = {
    "activeCamera": lambda camera: camera.number,
    "activeCameraInfo": lambda camera: "" if camera.looks.active is None else camera.looks.active.title,
    "activeCameraModel": lambda camera: "" if camera.looks.active is None else camera.looks.active.model,
    "activeCameraIsUsb": _flag(lambda looks: looks.active is not None and looks.active.is_usb),
    "isLiveStream": _flag(lambda looks: looks.active is not None and looks.active.is_watched),
    "isLiveStream2": _flag(lambda looks: looks.second is not None and looks.second.is_watched),
    "isVideoRecording": _flag(lambda looks: looks.active is not None and looks.active.is_recording),
    "isVideoRecording2": _flag(lambda looks: looks.second is not None and looks.second.is_recording),
    "isPhotoSeriesRecording": _flag(lambda looks: any(look.is_in_sequence for look in looks.two)),
    "isAudioRecording": lambda camera: False,
    "isTriggerRecording": lambda camera: False,
    "isEventhandling": lambda camera: False,
    "photoRoot": lambda camera: camera.status["output_path"],
    "error": lambda camera: camera.status["last_error"],
}
_PROPERTIES: dict[str, _Read] = {
    "model": lambda camera: camera.part("capabilities")["model"],
    "location": lambda camera: camera.part("capabilities")["location"],
    "pixelArraySize": lambda camera: camera.part("capabilities")["sensor_size"],
    "scalerCropMaximum": lambda camera: [0, 0, *camera.part("capabilities")["sensor_size"]],
    "unitCellSize": lambda camera: _cell_nm(camera.part("capabilities")["pixel_size_um"]),
    "colorFilterArrangement": lambda camera: _FILTERS.get(camera.part("capabilities")["bayer_pattern"], _MONOCHROME),
    "hasFocus": lambda camera: "AfMode" in camera.part("controls"),
    "hasFlicker": lambda camera: "AeFlickerMode" in camera.part("controls"),
    "hasHdr": lambda camera: "HdrMode" in camera.part("controls"),
}
_CONFIGS = {"liveViewConfig": "live", "photoConfig": "photo", "rawConfig": "raw", "videoConfig": "video"}
_OF_CONFIG = {
    "stream": "stream",
    "stream_size": "size",
    "format": "format",
    "buffer_count": "buffer_count",
    "sensor_mode": "mode",
    "controls": "controls",
}


def _use_case(name: str, key: str) -> _Read:
    def read(camera: _Camera) -> Any:
        found = camera.part("use_cases").get(name)
        if found is None:
            raise CommandFailed(f"the camera has no use case {name}", value=name)
        return found[key]

    return read


def _cell_nm(pixel_size_um: float | None) -> list[int] | None:
    return None if pixel_size_um is None else [round(pixel_size_um * 1000)] * 2


#: What is read by each name, but for the controls, which depend on the camera.
TABLE: dict[str, _Read] = {
    "Camera().camNum": lambda camera: camera.number,
    f"{_CFG}sensorModes": lambda camera: camera.part("capabilities")["modes"],
    **{f"{_CFG}serverConfig.{name}": read for name, read in _SERVER.items()},
    **{f"{_CFG}cameraProperties.{name}": read for name, read in _PROPERTIES.items()},
    **{f"{_CFG}{config}.{name}": _use_case(case, key) for config, case in _CONFIGS.items() for name, key in _OF_CONFIG.items()},
}


def checked(wanted: Any) -> list[str]:
    """The names in a request's `properties`. Raises BadRequest."""
    expected = '"properties": [{"property": "..."}, ...]'
    if not isinstance(wanted, list) or not wanted:
        raise BadRequest(f"no properties are given, expected {expected}")
    if len(wanted) > _MOST:
        raise BadRequest(f"{len(wanted)} properties are given, expected at most {_MOST}")
    names = [item.get("property") if isinstance(item, dict) else None for item in wanted]
    found = [name for name in names if isinstance(name, str) and 0 < len(name) <= _LONGEST]
    if len(found) != len(names):
        wrong = next(item for item, name in zip(wanted, names, strict=True) if name not in found)
        raise BadRequest(f"{shown(wrong)} is no property, expected {expected} of at most {_LONGEST} characters")
    return found


async def probe(services: Services, names: Iterable[str]) -> list[dict[str, Any]]:
    """For each name its value, or the text of an error."""
    camera = _Camera(await look(services))
    return [{name: await _value(camera, name)} for name in names]


async def _value(camera: _Camera, name: str) -> Any:
    try:
        if name.startswith(_CONTROLS):
            await camera.prepare("controls")
            return _control(camera, name)
        read = TABLE.get(name)
        if read is None:
            raise _unknown(name, list(TABLE))
        for method in ("capabilities", "controls", "use_cases") if ".serverConfig." not in name else ():
            await camera.prepare(method)
        return read(camera)
    except ObservatoryError as error:
        return f"Error: {error}"


def _control(camera: _Camera, name: str) -> Any:
    """What holds now: what is set, else what the latest frame has, else the default."""
    controls = camera.part("controls")
    asked = name.removeprefix(_CONTROLS)
    own = f"{asked[:1].upper()}{asked[1:]}"
    if own not in controls or own == asked:
        raise _unknown(name, [f"{_CONTROLS}{other[:1].lower()}{other[1:]}" for other in controls])
    control = controls[own]
    values = (control["value"], camera.status.get(own), control["default"])
    return next((value for value in values if value is not None), None)


def _unknown(name: str, names: list[str]) -> InvalidArgument:
    return InvalidArgument(
        f"{shown(name)} cannot be read here{nearest(name, names)}: docs/raspicamsrv-api.md says what can", value=name[:60]
    )
