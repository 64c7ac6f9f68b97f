"""Whether an address is this machine's own yet: after a boot the network may come later than the daemons."""

from __future__ import annotations

import errno
import socket


def is_own(host: str) -> bool:
    """Whether a socket can be bound to a host's addresses now; any port of them will do. False too if its name is not known."""
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)
        for family, kind, protocol, _, address in found:
            with socket.socket(family, kind, protocol) as probe:
                probe.bind(address)
    except OSError as error:
        return not (isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL)
    return True
