"""Changes of controls, use cases and settings: checked against the camera, done, remembered."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from observatory_camerad.acquisition.captures import Wish
from observatory_camerad.acquisition.effects import in_effect
from observatory_camerad.acquisition.frames import Frame
from observatory_camerad.acquisition.sequence import Sequences
from observatory_camerad.acquisition.timing import iso
from observatory_camerad.acquisition.use_cases import USE_CASES, Transform, UseCase, standing
from observatory_camerad.acquisition.worker import Worker
from observatory_camerad.controls import automatic_controls, checked, exposure_controls, fitting, settled_values
from observatory_camerad.drivers.base import Capabilities
from observatory_camerad.fates import sorted_out
from observatory_camerad.outputs.encoders import PHOTO_FORMATS, RAW_FORMATS
from observatory_camerad.outputs.files import FileStore
from observatory_camerad.settings import MOMENTARY, Settings
from observatory_common import arguments, timestamps
from observatory_common.errors import CommandFailed, InvalidArgument, NotConnected, TimedOut
from observatory_common.json_file import nearest

_RECONFIGURED_WITHIN_S = 10.0
_SMALLEST = 16  # pixels, either way
_LONGEST_INTERVAL_S = 86400.0 * 7
_USE_CASE_KEYS = ("stream", "size", "format", "mode", "buffer_count", "controls")
_PARAMETERS = ("exposure", "gain", "format", "interval", "folder")
_EXPOSURE = ("AeEnable", "ExposureTime", "AnalogueGain", "FrameDurationLimits")


class Adjuster:
    """Does one change after another; every refusal leaves everything as it was."""

    def __init__(
        self, worker: Worker, settings: Settings, transform: Transform, sequences: Sequences, files: FileStore
    ) -> None:
        self._worker = worker
        self._settings = settings
        self._transform = transform
        self._sequences = sequences
        self._files = files
        self._lock = threading.Lock()
        self._interval_s = 0.0
        self._format = "fits"
        self._folder: Path | None = None

    def set_controls(self, values: Any, timeout_s: float) -> dict[str, Any]:
        """Check, change, remember, wait. Raises InvalidArgument, NotConnected, CommandFailed.

        AeEnable true takes back a fixed exposure and gain, and the long frames that they needed.
        """
        known = self._worker.require().capabilities.controls
        if type(values) is dict and values.get("AeEnable") is True:
            values = {**automatic_controls(self._settings.base_controls(), known), **values}
        return self._change(checked(values, known, self._settings.controls()), timeout_s)

    def apply_fitting(self, wanted: Any, strict: bool, timeout_s: float) -> dict[str, Any]:
        """As set_controls, but what does not fit is left out (`strict`: then nothing is done), and every key's fate told.

        Answers with `applied`, `refused` (why, by name), `keys`, `strict`, `date`, `in_effect`, `complete`. Raises
        InvalidArgument for what is no object, NotConnected, CommandFailed.
        """
        known = self._worker.require().capabilities.controls
        found = sorted_out(wanted, known, self._settings.controls(), self._settings.base_controls(), strict)
        values = {**found.implied, **found.values}
        effect: dict[str, Any] = {"in_effect": None, "complete": False}
        if values:
            answer = self._change(values, timeout_s)
            effect = {name: answer[name] for name in effect}
        told = {"applied": values, "refused": found.refused, "keys": list(found.keys), "strict": strict}
        return {"date": timestamps.utc_now(), **told, **effect}

    def set_exposure(self, exposure_s: Any, timeout_s: float) -> dict[str, Any]:
        """A fixed exposure, in seconds."""
        return self._change(self._exposure(exposure_s), timeout_s)

    def set_gain(self, gain: Any, timeout_s: float) -> dict[str, Any]:
        """A fixed analogue gain."""
        return self._change(self._gain(gain), timeout_s)

    def configure(self, parameters: Any) -> dict[str, Any]:
        """The whole state for sequences: what is not given becomes the config's."""
        if type(parameters) is not dict:
            raise arguments.refused("parameters", parameters, f"names and values of {', '.join(_PARAMETERS)}")
        for name in parameters:
            if name not in _PARAMETERS:
                raise arguments.refused("parameters", name, f"only {', '.join(_PARAMETERS)}")
        base = self._settings.base_controls()
        known = self._worker.require().capabilities.controls
        values = settled_values(_EXPOSURE, base, known)
        if "exposure" in parameters:
            values |= self._exposure(parameters["exposure"])
        if "gain" in parameters:
            values |= self._gain(parameters["gain"])
        chosen = arguments.choice("format", parameters.get("format", "fits"), {*PHOTO_FORMATS, *RAW_FORMATS})
        interval_s = arguments.number("interval", parameters.get("interval", 0), 0, _LONGEST_INTERVAL_S)
        folder = None if parameters.get("folder") is None else self._files.folder(parameters["folder"])
        answer = self._change(values, 2.0)
        self._format, self._interval_s, self._folder = chosen, interval_s, folder
        return {**answer, "format": chosen, "interval": interval_s, "folder": None if folder is None else str(folder)}

    def start_sequence(
        self, count: int, interval_s: float | None, format: str | None, caller: str, request_id: str | None
    ) -> dict[str, Any]:
        """With what `configure` has set up, where nothing else is given."""
        chosen = format or self._format
        has_raw = "raw" in self._settings.use_cases()
        kind = "raw" if chosen == "dng" or (chosen == "fits" and has_raw) else "photo"
        wish = Wish(kind, chosen, folder=self._folder)
        interval_s = self._interval_s if interval_s is None else interval_s
        return self._sequences.start(count, interval_s, wish, caller, request_id).to_wire()

    def set_use_case(self, name: str, changes: Any) -> None:
        """Change some keys of a use case. Raises InvalidArgument, CommandFailed, NotConnected."""
        if type(changes) is not dict or not changes:
            raise arguments.refused("use_case", changes, f"names and values of {', '.join(_USE_CASE_KEYS)}")
        found = self._worker.require().capabilities
        cases, before = self._settings.use_cases(), self._settings.controls()
        case = self._changed(name, cases.get(name, UseCase("main", found.sensor_size, "RGB888")), changes, found)
        self._reconfigure({**cases, name: case})
        try:
            self._settings.change_use_case(name, case)
        except CommandFailed:
            self._reconfigure(cases)
            raise
        self._bring_in(before)

    def apply(self, cases: Mapping[str, UseCase], controls: Mapping[str, Any]) -> None:
        """Another overlay in place of this one; controls that it says nothing of go back to the config's, or their default.

        Without a camera it holds from the next opening on. Raises InvalidArgument for controls that do not fit the camera.
        """
        before, cases_before = self._settings.controls(), self._settings.use_cases()
        session = self._worker.session
        if session is not None:
            wrong = fitting(controls, session.capabilities.controls)[1]
            if wrong:
                raise InvalidArgument(f"these settings do not fit the camera: {'; '.join(wrong.values())}")
        changes = session is not None and bool(cases or self._settings.to_wire()["use_cases"])
        if changes:
            self._reconfigure({**self._settings.configured(), **cases})
        try:
            self._settings.replace_all(cases, controls)
        except CommandFailed:
            if changes:
                self._reconfigure(cases_before)
            raise
        self._bring_in(before)

    def apply_plain(self, use_cases: Any, controls: Any) -> None:
        """As `apply`, with what `settings` tells of an equal camera. Raises InvalidArgument, CommandFailed, NotConnected."""
        for name, given in (("use_cases", use_cases), ("controls", controls)):
            if type(given) is not dict or (name == "use_cases" and not all(type(case) is dict for case in given.values())):
                raise arguments.refused(name, given, "names and values, as settings() tells them")
        found = self._worker.require().capabilities
        cases = {
            arguments.choice("use_cases", name, USE_CASES): self._changed(
                name, UseCase("main", found.sensor_size, "RGB888"), case, found
            )
            for name, case in use_cases.items()
        }
        # One by one: what is kept may hold a control that another keeps from having an effect.
        values = {name: checked({name: value}, found.controls)[name] for name, value in controls.items()}
        self.apply(cases, {name: value for name, value in values.items() if name not in MOMENTARY})

    def _bring_in(self, before: Mapping[str, Any]) -> None:
        """Send what is in force now, and the defaults of what was before and is no more."""
        session = self._worker.session
        if session is None:
            return
        now = self._settings.controls()
        names = [name for name in {*before, *now} if name not in MOMENTARY and before.get(name) != now.get(name)]
        values = settled_values(names, now, session.capabilities.controls)
        if values:
            self._worker.change(fitting(values, session.capabilities.controls)[0])

    def _exposure(self, exposure_s: Any) -> dict[str, Any]:
        known = self._worker.require().capabilities.controls
        info = known.get("ExposureTime")
        if info is None:
            raise CommandFailed("this camera cannot be told how long to expose", value="ExposureTime")
        low, high = (info.minimum or 1) / 1e6, (info.maximum or 1e12) / 1e6
        exposure_us = round(arguments.number("exposure_s", exposure_s, low, high) * 1e6)
        return exposure_controls(exposure_us, self._settings.base_controls(), known)

    def _gain(self, gain: Any) -> dict[str, Any]:
        known = self._worker.require().capabilities.controls
        info = known.get("AnalogueGain")
        if info is None:
            raise CommandFailed("this camera cannot be told its gain", value="AnalogueGain")
        values: dict[str, Any] = {"AnalogueGain": arguments.number("gain", gain, info.minimum or 0, info.maximum or 1e6)}
        return {**values, "AeEnable": False} if "AeEnable" in known else values

    def _change(self, values: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        with self._lock:
            before = self._settings.remember(values)  # first, since it also says how long a frame may take
            try:
                change = self._worker.change(values)
            except NotConnected:
                self._settings.restore(before)
                raise
        answer: dict[str, Any] = {"controls": dict(values), "in_effect": None, "complete": False, "frame": None, "date": None}
        try:
            frame: Frame = change.done.result(timeout_s)
        except TimeoutError:
            return answer
        except CommandFailed:
            self._settings.restore(before)
            raise
        start = iso(frame.exposure.start_ns) + "Z"
        return {
            **answer,
            "in_effect": in_effect(values, frame.metadata),
            "complete": change.met,
            "frame": frame.number,
            "date": start,
        }

    def _changed(self, name: str, case: UseCase, changes: Mapping[str, Any], found: Capabilities) -> UseCase:
        for key in changes:
            if key not in _USE_CASE_KEYS:
                raise arguments.refused("use_case", key, f"only {', '.join(_USE_CASE_KEYS)}{nearest(key, _USE_CASE_KEYS)}")
        case = replace(case, **{key: changes[key] for key in changes if key in ("mode", "buffer_count")})
        stream = arguments.choice("stream", changes.get("stream", case.stream), found.streams)
        if (stream == "raw") != (name == "raw"):
            raise arguments.refused("stream", stream, "raw for the use case raw, and for that alone")
        allowed = found.streams[stream]
        pixel_format = changes.get("format", case.format if case.format in allowed else allowed[0])
        size = changes.get("size", list(case.size))
        if type(size) not in (list, tuple) or len(size) != 2:
            raise arguments.refused("size", size, "[width, height]")
        largest = found.sensor_size
        width, height = (arguments.whole_number("size", size[n], _SMALLEST, largest[n]) for n in (0, 1))
        if case.mode is not None:
            arguments.whole_number("mode", case.mode, 0, max(len(found.modes) - 1, 0))
        arguments.whole_number("buffer_count", case.buffer_count, 1, 12)
        controls: Mapping[str, Any] = case.controls
        if "controls" in changes:
            given = changes["controls"]
            if type(given) is not dict:
                raise arguments.refused("controls", given, "names and values")
            controls = checked(given, found.controls) if given else {}
        return UseCase(
            stream,
            (width & ~1, height & ~1),
            arguments.choice("format", pixel_format, allowed),
            case.mode,
            case.buffer_count,
            controls,
        )

    def _reconfigure(self, cases: Mapping[str, UseCase]) -> None:
        for name, case in cases.items():  # each must be had somehow
            try:
                standing(cases, self._transform, [name])
            except CommandFailed:
                raise InvalidArgument(f"the use case {name} cannot be had: {case}", value=name) from None
        order = self._worker.reconfigure(standing(cases, self._transform))
        try:
            order.done.result(_RECONFIGURED_WITHIN_S)
        except TimeoutError:
            raise TimedOut(f"the camera was not configured within {_RECONFIGURED_WITHIN_S:g} s") from None
