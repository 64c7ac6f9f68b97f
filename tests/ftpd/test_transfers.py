"""What a data connection's end means, when the system reports it in the rarest way."""

from __future__ import annotations

import socket
from unittest.mock import MagicMock, create_autospec

import pytest
import waiting
from ftp_daemon import reset
from pyftpdlib.ioloop import IOLoop

from observatory_ftpd.drop import Incoming
from observatory_ftpd.ftp.transfers import PlainTransfer


@pytest.mark.parametrize("is_reset", [True, False])
def test_an_end_reported_as_an_error_alone_is_a_cut(is_reset: bool) -> None:
    """A poll may find a reset's error before it finds anything to read; the library then reads no more."""
    loop = IOLoop()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        transfer = PlainTransfer(listening.accept()[0], MagicMock(ioloop=loop))
    try:
        transfer.file_obj, transfer.receive = create_autospec(Incoming, instance=True), True
        transfer.file_obj.name = "new.json"
        if is_reset:
            reset(client)
            waiting.until(lambda: _is_over(transfer.socket), 5, "the reset to arrive")
        transfer.handle_close()
    finally:
        client.close()
        loop.close()
    assert transfer.cmd_channel.upload_refused.called is is_reset
    assert transfer.cmd_channel.received.called is not is_reset


def _is_over(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return True
    return False
