"""Data connections: an upload counts as one when its connection ended well."""

from __future__ import annotations

import errno
import socket
import sys
from typing import Any

from OpenSSL import SSL
from pyftpdlib.handlers import DTPHandler, FTPHandler, TLS_DTPHandler

from observatory_ftpd.drop import Incoming

STALLED_S = 60


class PlainTransfer(DTPHandler):  # type: ignore[misc]  # pyftpdlib has no type information
    """A data connection in clear. To the library, one that is reset looks like one that ended well."""

    timeout = STALLED_S
    _is_judged = False

    def close(self) -> None:
        """Decide, once, what became of an upload; then close as the library does."""
        incoming = getattr(self, "file_obj", None)
        if not self._is_judged and isinstance(incoming, Incoming):
            self._is_judged = True
            if self.transfer_finished and not self._is_cut():
                self._resp: tuple[Any, ...] = ()  # the session answers, when the file is in its place
                self.cmd_channel.received(incoming)
            else:
                incoming.close()
                if self.transfer_finished:
                    self._resp = (f"426 The connection was cut; {incoming.name} was not kept.", _quiet)
                self.cmd_channel.upload_refused(incoming.name, _why(self._resp))
        super().close()

    def _is_cut(self) -> bool:
        """Whether the connection is being closed because of an error, not because its end was read."""
        error = sys.exc_info()[1]  # the library handles it this moment
        if error is None:  # the end was read; or the poll found an error, and nothing to read yet
            return bool(self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
        if isinstance(error, SSL.SysCallError):
            return bool(error.args[0] > 0)  # without: an end that TLS was not told of, as some clients end
        return isinstance(error, OSError)


class TlsTransfer(PlainTransfer, TLS_DTPHandler):  # type: ignore[misc]
    """A data connection under TLS, if the client asked for it."""


class PassiveListener(FTPHandler.passive_dtp):  # type: ignore[misc]
    """Where a data connection is awaited. One that was reset before it was looked at, the library would await for ever."""

    def __init__(self, cmd_channel: Any, extmode: bool = False) -> None:
        try:
            super().__init__(cmd_channel, extmode)
        except OSError:
            self.close()
            raise

    def listen(self, num: int) -> None:
        """Listen, unless the library took a port of its own choice because those of the config are in use: OSError."""
        ports = self.cmd_channel.passive_ports
        if ports is not None and self.socket.getsockname()[1] not in ports:
            raise OSError(errno.EADDRINUSE, f"all passive ports from {ports[0]} to {ports[-1]} are in use")
        super().listen(num)

    def handle_accepted(self, sock: Any, addr: Any) -> None:
        """Take the connection, or say that it is lost."""
        super().handle_accepted(sock, addr)
        if self._closed and self.cmd_channel.connected:
            self.cmd_channel.require_data_connection()


def _why(reply: tuple[object, ...]) -> str:
    return str(reply[0])[4:] if reply else "the connection was lost"


def _quiet(message: str) -> None:
    """In place of the library's log."""
