"""Ask a running board for the truth, for what happens outside, and for faults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from observatory_common.control_socket import ControlClient
from observatory_common.errors import CommandFailed


class BoardClient(ControlClient):
    """Speaks to the board's socket. Each request is answered within `timeout_s`, or raises DaemonNotReachable."""

    WHO = "simulated board"

    def __init__(self, path: Path | str, timeout_s: float = 5.0) -> None:
        super().__init__(Path(path), timeout_s)

    def request(self, **wanted: Any) -> dict[str, Any]:
        """Send one request. Raises CommandFailed if the board refuses it."""
        return self.ask(wanted)

    def state(self) -> dict[str, Any]:
        """`lines`, `wiring`, `clients`, `now_ns`, and the number of the `last` change."""
        return self.request(query="state")

    def line(self, pin: int) -> dict[str, Any]:
        """The state of a line."""
        return dict(self.state()["lines"][pin])

    def history(self, pin: int | None = None, after: int = 0) -> list[dict[str, Any]]:
        """The changes after a number, oldest first. Raises CommandFailed if some of them are no longer kept."""
        changes: list[dict[str, Any]] = []
        while True:
            answer = self.request(query="history", pin=pin, after=after)
            if answer["lost"]:
                raise CommandFailed(f"{answer['lost']} changes after number {after} are no longer kept", value=after)
            changes += answer["changes"]
            after = answer["next"]
            if after >= answer["last"]:
                return changes
