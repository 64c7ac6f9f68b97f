"""Where steppers and servos are, kept across restarts: a move is on disk before it begins."""

from __future__ import annotations

import logging
import threading
from dataclasses import asdict, replace
from typing import Any

from observatory_common import requests
from observatory_common.errors import CommandFailed
from observatory_common.storage import StateCorrupt, StateFile
from observatory_gpiod.devices.base import Position

log = logging.getLogger("gpiod.journal")

_VERSION = 1


class Journal:
    """The positions on disk. Thread safe.

    A device whose last move is not known to have ended has a position that is not certain.
    """

    def __init__(self, file: StateFile, boot_id: str) -> None:
        self._file = file
        self._boot_id = boot_id
        self._lock = threading.Lock()
        self._positions: dict[str, Position] = {}
        self._requests: dict[str, str] = {}
        try:
            self._restore(file.load())
        except (StateCorrupt, KeyError, TypeError, ValueError, AttributeError) as error:
            log.error("the journal cannot be read, so every position is unknown: %s", error)
            self._positions, self._requests = {}, {}

    def position(self, device: str) -> Position | None:
        """Where a device was last; None of one that never moved."""
        with self._lock:
            return self._positions.get(device)

    def accepted_before_restart(self, request_id: str) -> bool:
        """Whether an earlier run of the daemon has accepted this request."""
        with self._lock:
            return requests.of_earlier_run(self._requests, request_id, self._boot_id)

    def accept(self, request_id: str) -> None:
        """Record a request, before what it asks for is done. Raises CommandFailed."""
        with self._lock:
            self._save(self._positions, requests.remembered(self._requests, request_id, self._boot_id))

    def moving(self, device: str, start: Position, _target: Position) -> None:
        """Record that a device leaves `start`. Raises CommandFailed, so that it does not move then."""
        with self._lock:
            self._save({**self._positions, device: replace(start, certain=False)}, self._requests)

    def stands(self, device: str, position: Position) -> None:
        """Record where a device stands; what cannot be written stays uncertain on disk."""
        with self._lock:
            try:
                self._save({**self._positions, device: position}, self._requests)
            except CommandFailed as error:
                log.error("%s", error)

    def _save(self, positions: dict[str, Position], kept: dict[str, str]) -> None:
        """On disk first: what cannot be written is not remembered either."""
        state = {"version": _VERSION, "positions": {id: asdict(at) for id, at in positions.items()}, "requests": kept}
        try:
            self._file.save(state)
        except OSError as error:
            raise CommandFailed(f"the journal cannot be kept: {error}", value=str(self._file.path)) from error
        self._positions, self._requests = positions, kept

    def _restore(self, state: dict[str, Any] | None) -> None:
        if state is None:
            return
        if state["version"] != _VERSION:
            raise ValueError(f"version {state['version']}, expected {_VERSION}")
        self._positions = {id: _position(**fields) for id, fields in state["positions"].items()}
        self._requests = {str(request): str(boot) for request, boot in state["requests"].items()}


def _position(value: Any, phase: Any, trim: Any, certain: Any) -> Position:
    return Position(None if value is None else float(value), int(phase), float(trim), certain is True)
