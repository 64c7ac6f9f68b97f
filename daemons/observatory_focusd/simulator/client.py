"""Ask a running simulator for faults, or for the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from observatory_common.control_socket import ControlClient


class SimulatorClient(ControlClient):
    """Speaks to `<link>.control`. Each request is answered within `timeout_s`, or raises DaemonNotReachable."""

    def __init__(self, link: Path | str, timeout_s: float = 5.0) -> None:
        super().__init__(Path(f"{link}.control"), timeout_s)

    def state(self) -> dict[str, Any]:
        """Where every motor truly is, and what has been received."""
        return self.ask({"query": "state"})

    def fault(self, name: str, **details: Any) -> None:
        """Put a fault in force."""
        self.ask({"fault": name, **details})
