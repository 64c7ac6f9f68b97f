"""The daemon's end: one remote object, served on one address.

What a bare Pyro5 5.17 daemon lets a stranger do is listed in docs/decisions/0001. Here the caller is known before a
byte is read, only msgpack of plain types is decoded, sizes and times have limits, and every call goes through the gate.
"""

from __future__ import annotations

from observatory_common.access import Gate, Policy
from observatory_common.rpc.session import Service
from observatory_common.rpc.transport import Transport
from observatory_common.tls import Tls


class Server:
    """Serves the object behind `gate`, under `object_name`, to those whom `policy` lets in. Port 0 takes a free one.

    With `tls`, callers are who their certificates say; without, who their addresses say.
    """

    def __init__(self, gate: Gate, policy: Policy, object_name: str, host: str, port: int, tls: Tls | None = None) -> None:
        self._service = Service(gate, policy, object_name)
        self._where = (host, port)
        self._tls = tls
        self._transport: Transport | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens; before `start`, where it will."""
        return self._where if self._transport is None else self._transport.address

    def start(self) -> None:
        """Bind and serve, in threads of its own. Raises OSError if the address cannot be had, InvalidConfig for the TLS."""
        context = None if self._tls is None else self._tls.server_context()
        self._transport = Transport(self._service, *self._where, context)

    def close(self, deadline_s: float) -> None:
        """Accept nothing more, let running calls be answered, end all threads, within about `deadline_s` seconds."""
        if self._transport is not None:
            self._transport.stop(deadline_s)
            self._transport = None
        self._service.gate.audit.flush(everything=True)
