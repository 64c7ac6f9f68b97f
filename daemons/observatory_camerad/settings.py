"""What is set at run time: use cases and controls as an overlay over the config, kept in the state folder.

The config in /etc is never written. An overlay of another version than ours, or one that cannot be read, is set aside
and reported, never guessed at.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from observatory_camerad.acquisition.use_cases import UseCase
from observatory_camerad.outputs import disk
from observatory_common import arguments, timestamps
from observatory_common.errors import CommandFailed, InvalidArgument
from observatory_common.storage import StateCorrupt, StateFile

log = logging.getLogger("camerad.settings")

VERSION = 1
MOST_SETS = 100
#: These start or end something: they are no state, and must not be repeated when the camera is opened again.
MOMENTARY = frozenset({"AfTrigger", "AfPause"})
_UNREADABLE = (StateCorrupt, KeyError, TypeError, ValueError, AttributeError)


@dataclass(frozen=True)
class _State:
    """What is in force, never changed in place: who reads it waits for nobody who writes it to the disk."""

    configured: Mapping[str, UseCase]
    use_cases: Mapping[str, UseCase] = field(default_factory=dict)
    controls: Mapping[str, Any] = field(default_factory=dict)
    sets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    revision: int = 0  # of this run


class Settings:
    """The use cases and controls in force. Thread safe; every change is on disk when the call returns.

    What cannot be written is not changed: then NoRoom or CommandFailed is raised.
    """

    def __init__(self, configured: Mapping[str, UseCase], controls: Mapping[str, Any], file: StateFile) -> None:
        self._start_controls = dict(controls)
        self._file = file
        self._lock = threading.Lock()  # of those who change something
        self._state = self._loaded(dict(configured))

    @property
    def revision(self) -> int:
        """How often something was changed here in this run: who has seen this number has seen all of it."""
        return self._state.revision

    def use_cases(self) -> dict[str, UseCase]:
        """Those of the config, changed by the overlay."""
        state = self._state
        return {**state.configured, **state.use_cases}

    def configured(self) -> dict[str, UseCase]:
        """Those of the config, and of the camera itself where that says nothing."""
        return dict(self._state.configured)

    def controls(self) -> dict[str, Any]:
        """The controls that hold while nothing else is asked for: start-up, the live view's, those set since."""
        state = self._state
        return {**self._base(state), **state.controls}

    def base_controls(self) -> dict[str, Any]:
        """As `controls`, without those set since."""
        return self._base(self._state)

    def configure_defaults(self, cases: Mapping[str, UseCase]) -> None:
        """Supply the use cases of which the config says nothing, once the camera is known."""
        with self._lock:
            self._state = replace(self._state, configured={**cases, **self._state.configured})

    def remember(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Keep controls that have been set; returns what was kept of them before, for `restore`."""
        lasting = {name: value for name, value in values.items() if name not in MOMENTARY}
        with self._lock:
            before = self._state.controls
            if any(before.get(name, self) != value for name, value in lasting.items()):
                self._change(controls={**before, **lasting})
            return {name: before.get(name) for name in lasting}

    def restore(self, before: Mapping[str, Any]) -> None:
        """Take back what the camera has refused; None for what was not kept."""
        with self._lock:
            controls = {**self._state.controls, **before}
            try:
                self._change(controls={name: value for name, value in controls.items() if value is not None})
            except CommandFailed as error:
                log.error("what the camera has refused is still kept: %s", error)

    def change_use_case(self, name: str, case: UseCase) -> None:
        """Put another in the place of a use case."""
        with self._lock:
            self._change(use_cases={**self._state.use_cases, name: case})

    def save_set(self, name: Any) -> None:
        """Keep what is set now under a name. Raises InvalidArgument."""
        name = _set_name(name)
        with self._lock:
            state = self._state
            if name not in state.sets and len(state.sets) >= MOST_SETS:
                raise InvalidArgument(f"there are {MOST_SETS} named settings already", value=name, allowed="a name in use")
            self._change(sets={**state.sets, name: {**_plain(state), "date": timestamps.utc_now()}})

    def named_set(self, name: Any) -> tuple[dict[str, UseCase], dict[str, Any]]:
        """The use cases and controls kept under a name. Raises InvalidArgument, CommandFailed if they cannot be read."""
        return _readable(name, _chosen(name, self._state.sets))

    def saved(self, name: Any) -> dict[str, Any]:
        """What is kept under a name: `name`, `date` (None: an older version kept it), `use_cases`, `controls`.

        Raises as `named_set`.
        """
        kept = _chosen(name, self._state.sets)
        _readable(name, kept)
        return {"name": name, "date": kept.get("date"), "use_cases": kept["use_cases"], "controls": kept["controls"]}

    def delete_set(self, name: Any) -> None:
        """Forget what is kept under a name. Raises InvalidArgument."""
        with self._lock:
            sets = self._state.sets
            _chosen(name, sets)
            self._change(sets={other: kept for other, kept in sets.items() if other != name})

    def replace_all(self, use_cases: Mapping[str, UseCase], controls: Mapping[str, Any]) -> None:
        """Another overlay in place of this one; empty ones are the config as it is."""
        with self._lock:
            self._change(use_cases=dict(use_cases), controls=dict(controls))

    def to_wire(self) -> dict[str, Any]:
        """The overlay: `version`, `changed`, `use_cases`, `controls`; `saved`, the names of sets, `saved_at`, their dates."""
        state = self._state
        changed = bool(state.use_cases or state.controls)
        return {"version": VERSION, "changed": changed, **_plain(state), "saved": sorted(state.sets), "saved_at": _dates(state)}

    def _base(self, state: _State) -> dict[str, Any]:
        live = {**state.configured, **state.use_cases}.get("live")
        return {**self._start_controls, **(live.controls if live else {})}

    def _change(self, **changes: Mapping[str, Any]) -> None:
        """First on disk, so that a full one leaves everything as it was."""
        state = replace(self._state, **changes, revision=self._state.revision + 1)
        with disk.told(self._file.path.parent):
            self._file.save({"version": VERSION, **_plain(state), "sets": dict(state.sets)})
        self._state = state

    def _loaded(self, configured: Mapping[str, UseCase]) -> _State:
        try:
            plain = self._file.load()
            if plain is None:
                return _State(configured)
            if plain.get("version") != VERSION:
                raise StateCorrupt(f"{self._file.path} has the version {plain.get('version')!r}, expected {VERSION}")
            use_cases, controls = _from_plain(plain)
            return _State(configured, use_cases, controls, dict(plain["sets"]))
        except _UNREADABLE as error:
            aside = self._file.path.with_suffix(".unreadable")
            log.error("the saved settings cannot be used (%s); they are kept as %s", error, aside.name)
            try:
                self._file.path.replace(aside)
            except OSError as failure:
                log.error("%s cannot be set aside: %s", self._file.path.name, failure)
            return _State(configured)


def _plain(state: _State) -> dict[str, Any]:
    use_cases = {name: asdict(case) for name, case in state.use_cases.items()}
    return {"use_cases": use_cases, "controls": dict(state.controls)}


def _from_plain(plain: Mapping[str, Any]) -> tuple[dict[str, UseCase], dict[str, Any]]:
    cases = {name: use_case_from(UseCase(**{**case, "size": tuple(case["size"])})) for name, case in plain["use_cases"].items()}
    return cases, {name: _tupled(value) for name, value in plain["controls"].items()}


def use_case_from(case: UseCase) -> UseCase:
    """The same with lists as tuples, as drivers take them."""
    return replace(case, controls={name: _tupled(value) for name, value in case.controls.items()})


def _dates(state: _State) -> dict[str, Any]:
    return {name: kept.get("date") if isinstance(kept, Mapping) else None for name, kept in sorted(state.sets.items())}


def _chosen(name: Any, sets: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    if type(name) is not str or name not in sets:
        raise arguments.refused("name", name, ", ".join(sets) or "the name of saved settings, of which there are none")
    return sets[name]


def _readable(name: str, kept: Mapping[str, Any]) -> tuple[dict[str, UseCase], dict[str, Any]]:
    try:
        return _from_plain(kept)
    except _UNREADABLE as error:
        raise CommandFailed(f"the settings {name} cannot be read: {error}", value=name) from error


def _tupled(value: Any) -> Any:
    return tuple(_tupled(one) for one in value) if isinstance(value, (list, tuple)) else value


def _set_name(name: Any) -> str:
    text = arguments.text("name", name, 60)
    if not text.isprintable() or text.strip() != text or "/" in text or text in (".", ".."):  # it is a part of webd's addresses
        raise arguments.refused("name", text, "a printable text of 1 to 60 characters without /, not . or ..")
    return text
