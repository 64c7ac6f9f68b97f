"""What is set at run time: use cases and controls as an overlay over the config, kept in the state folder.

The config in /etc is never written. An overlay of another version than ours, or one that cannot be read, is set aside
and reported, never guessed at.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from observatory_camerad.acquisition.use_cases import UseCase
from observatory_camerad.outputs import disk
from observatory_common import arguments
from observatory_common.errors import CommandFailed, InvalidArgument
from observatory_common.storage import StateCorrupt, StateFile

log = logging.getLogger("camerad.settings")

VERSION = 1
MOST_SETS = 100
#: These start or end something: they are no state, and must not be repeated when the camera is opened again.
MOMENTARY = frozenset({"AfTrigger", "AfPause"})


class Settings:
    """The use cases and controls in force. Thread safe; every change is on disk when the call returns.

    What cannot be written is not changed: then NoRoom or CommandFailed is raised.
    """

    def __init__(self, configured: Mapping[str, UseCase], controls: Mapping[str, Any], file: StateFile) -> None:
        self._configured = dict(configured)
        self._start_controls = dict(controls)
        self._file = file
        self._lock = threading.Lock()
        self._use_cases: dict[str, UseCase] = {}
        self._controls: dict[str, Any] = {}
        self._sets: dict[str, dict[str, Any]] = {}
        self._load()

    def use_cases(self) -> dict[str, UseCase]:
        """Those of the config, changed by the overlay."""
        with self._lock:
            return {**self._configured, **self._use_cases}

    def configured(self) -> dict[str, UseCase]:
        """Those of the config, and of the camera itself where that says nothing."""
        with self._lock:
            return dict(self._configured)

    def controls(self) -> dict[str, Any]:
        """The controls that hold while nothing else is asked for: start-up, the live view's, those set since."""
        with self._lock:
            live = {**self._configured, **self._use_cases}.get("live")
            return {**self._start_controls, **(live.controls if live else {}), **self._controls}

    def base_controls(self) -> dict[str, Any]:
        """As `controls`, without those set since."""
        with self._lock:
            live = {**self._configured, **self._use_cases}.get("live")
            return {**self._start_controls, **(live.controls if live else {})}

    def configure_defaults(self, cases: Mapping[str, UseCase]) -> None:
        """Supply the use cases of which the config says nothing, once the camera is known."""
        with self._lock:
            self._configured = {**cases, **self._configured}

    def remember(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Keep controls that have been set; returns what was kept before, for `restore`."""
        lasting = {name: value for name, value in values.items() if name not in MOMENTARY}
        with self._lock:
            before = dict(self._controls)
            if any(before.get(name, self) != value for name, value in lasting.items()):
                self._change(self._use_cases, {**before, **lasting}, self._sets)
            return before

    def restore(self, controls: Mapping[str, Any]) -> None:
        """Take back what the camera has refused."""
        with self._lock:
            self._controls = dict(controls)
            try:
                self._save(self._use_cases, self._controls, self._sets)
            except CommandFailed as error:
                log.error("what the camera has refused is still on disk: %s", error)

    def change_use_case(self, name: str, case: UseCase) -> None:
        """Put another in the place of a use case."""
        with self._lock:
            self._change({**self._use_cases, name: case}, self._controls, self._sets)

    def save_set(self, name: Any) -> None:
        """Keep what is set now under a name. Raises InvalidArgument."""
        name = _set_name(name)
        with self._lock:
            if name not in self._sets and len(self._sets) >= MOST_SETS:
                raise InvalidArgument(f"there are {MOST_SETS} named settings already", value=name, allowed="a name in use")
            kept = _plain(self._use_cases, self._controls)
            self._change(self._use_cases, self._controls, {**self._sets, name: kept})

    def named_set(self, name: Any) -> tuple[dict[str, UseCase], dict[str, Any]]:
        """The use cases and controls kept under a name. Raises InvalidArgument."""
        with self._lock:
            if type(name) is not str or name not in self._sets:
                raise InvalidArgument(
                    f"there are no settings {arguments.shown(name)}",
                    value=arguments.shown(name),
                    allowed=", ".join(self._sets) or "none is saved",
                )
            return _from_plain(self._sets[name])

    def delete_set(self, name: Any) -> None:
        """Forget what is kept under a name. Raises InvalidArgument."""
        self.named_set(name)
        with self._lock:
            others = {other: kept for other, kept in self._sets.items() if other != name}
            self._change(self._use_cases, self._controls, others)

    def replace_all(self, use_cases: Mapping[str, UseCase], controls: Mapping[str, Any]) -> None:
        """Another overlay in place of this one; empty ones are the config as it is."""
        with self._lock:
            self._change(dict(use_cases), dict(controls), self._sets)

    def to_wire(self) -> dict[str, Any]:
        """The overlay and the names of the sets: `version`, `changed`, `use_cases`, `controls`, `saved`."""
        with self._lock:
            overlay = _plain(self._use_cases, self._controls)
            changed = bool(self._use_cases or self._controls)
            return {"version": VERSION, "changed": changed, **overlay, "saved": sorted(self._sets)}

    def _change(self, use_cases: dict[str, UseCase], controls: dict[str, Any], sets: dict[str, dict[str, Any]]) -> None:
        """First on disk, so that a full one leaves everything as it was."""
        self._save(use_cases, controls, sets)
        self._use_cases, self._controls, self._sets = use_cases, controls, sets

    def _save(self, use_cases: Mapping[str, UseCase], controls: Mapping[str, Any], sets: Mapping[str, Any]) -> None:
        with disk.told(self._file.path.parent):
            self._file.save({"version": VERSION, **_plain(use_cases, controls), "sets": sets})

    def _load(self) -> None:
        try:
            state = self._file.load()
            if state is None:
                return
            if state.get("version") != VERSION:
                raise StateCorrupt(f"{self._file.path} has the version {state.get('version')!r}, expected {VERSION}")
            self._use_cases, self._controls = _from_plain(state)
            self._sets = dict(state["sets"])
        except (StateCorrupt, KeyError, TypeError, ValueError) as error:
            aside = self._file.path.with_suffix(".unreadable")
            log.error("the saved settings cannot be used (%s); they are kept as %s", error, aside.name)
            try:
                self._file.path.replace(aside)
            except OSError as failure:
                log.error("%s cannot be set aside: %s", self._file.path.name, failure)
            self._use_cases, self._controls, self._sets = {}, {}, {}


def _plain(use_cases: Mapping[str, UseCase], controls: Mapping[str, Any]) -> dict[str, Any]:
    return {"use_cases": {name: asdict(case) for name, case in use_cases.items()}, "controls": dict(controls)}


def _from_plain(plain: Mapping[str, Any]) -> tuple[dict[str, UseCase], dict[str, Any]]:
    cases = {name: use_case_from(UseCase(**{**case, "size": tuple(case["size"])})) for name, case in plain["use_cases"].items()}
    return cases, {name: _tupled(value) for name, value in plain["controls"].items()}


def use_case_from(case: UseCase) -> UseCase:
    """The same with lists as tuples, as drivers take them."""
    return replace(case, controls={name: _tupled(value) for name, value in case.controls.items()})


def _tupled(value: Any) -> Any:
    return tuple(_tupled(one) for one in value) if isinstance(value, (list, tuple)) else value


def _set_name(name: Any) -> str:
    text = arguments.text("name", name, 60)
    if not text.isprintable() or text.strip() != text:
        raise arguments.refused("name", text, "a printable text of 1 to 60 characters")
    return text
