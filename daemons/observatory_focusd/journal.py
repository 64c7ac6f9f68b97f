"""What is known of the positions, kept across restarts: written before every command that changes it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from observatory_common import requests, timestamps
from observatory_common.storage import StateCorrupt, StateFile

log = logging.getLogger("focusd.journal")

_VERSION = 1

CONFIRMED = "confirmed"
UNCERTAIN = "uncertain"


@dataclass(frozen=True)
class OpenMove:
    """A move that was under way: `target_steps` is what the controller was told, `final_steps` where it was to end."""

    from_steps: int
    target_steps: int
    final_steps: int
    started: str
    started_by: str
    request_id: str | None
    #: Who wanted it stopped, if nobody has seen that it was.
    stop_by: str | None = None


@dataclass(frozen=True)
class Entry:
    """What is on record of one channel. `position_steps` is the last position that was proven."""

    position_state: str = UNCERTAIN
    position_steps: int | None = None
    date: str | None = None
    move: OpenMove | None = None


class Journal:
    """The positions on disk. Raises OSError when they cannot be written, so that the caller does not move then."""

    def __init__(self, file: StateFile, boot_id: str) -> None:
        self._file = file
        self._boot_id = boot_id
        self._entries: dict[int, Entry] = {}
        self._requests: dict[str, str] = {}
        try:
            self._restore(file.load())
        except (StateCorrupt, KeyError, TypeError, ValueError, AttributeError) as error:
            log.error("the journal cannot be read, so every position is uncertain: %s", error)

    def entry(self, channel: int) -> Entry:
        """What is on record of a channel; a channel never seen before is uncertain."""
        return self._entries.get(channel, Entry())

    def accepted_before_restart(self, request_id: str) -> bool:
        """Whether an earlier run of the daemon has accepted this request."""
        return requests.of_earlier_run(self._requests, request_id, self._boot_id)

    def open_move(self, channel: int, position_state: str, move: OpenMove) -> None:
        """Record a move (or its next leg) before the controller is told, and whether its start is proven."""
        kept = self._requests
        if move.request_id is not None:
            kept = requests.remembered(kept, move.request_id, self._boot_id)
        entry = replace(self.entry(channel), position_state=position_state, move=move)
        self._save({**self._entries, channel: entry}, kept)

    def open_moves(self) -> list[int]:
        """The channels whose last move is not known to have ended."""
        return [channel for channel, entry in self._entries.items() if entry.move is not None]

    def stops_owed(self, owed: Mapping[int, str]) -> None:
        """Record who wants the open moves of channels stopped, so that a restart does not let them run on."""
        for channel, by in owed.items():
            entry = self.entry(channel)
            if entry.move is not None and entry.move.stop_by is None:
                self.open_move(channel, entry.position_state, replace(entry.move, stop_by=by))

    def at_rest(self, channel: int, position_state: str, position_steps: int | None) -> None:
        """Record that no move is under way any more, and what is known now; nothing is written if nothing changed."""
        known = self.entry(channel)
        if (known.position_state, known.position_steps, known.move) == (position_state, position_steps, None):
            return
        entry = Entry(position_state, position_steps, timestamps.utc_now(), None)
        self._save({**self._entries, channel: entry}, self._requests)

    def _save(self, entries: dict[int, Entry], kept: dict[str, str]) -> None:
        """On disk first: what cannot be written is not remembered either."""
        channels = {str(n): asdict(entry) for n, entry in entries.items()}
        self._file.save({"version": _VERSION, "channels": channels, "requests": kept})
        self._entries, self._requests = entries, kept

    def _restore(self, state: dict[str, Any] | None) -> None:
        if state is None:
            return
        if state["version"] != _VERSION:
            raise ValueError(f"version {state['version']}, expected {_VERSION}")
        for number, fields in state["channels"].items():
            move = OpenMove(**fields.pop("move")) if fields["move"] is not None else fields.pop("move")
            self._entries[int(number)] = Entry(**fields, move=move)
        self._requests = {str(request): str(boot) for request, boot in state["requests"].items()}
