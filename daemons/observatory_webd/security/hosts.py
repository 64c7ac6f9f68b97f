"""The names under which this server may be asked for: a page of another name, pointed at our address, gets nothing."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable

from observatory_webd.host_names import host_of, plain


class Hosts:
    """The allowed host names; beside them localhost, this machine's own name, and the address a connection came to."""

    def __init__(self, allowed: Iterable[str]) -> None:
        own = socket.gethostname().lower()
        self._names = frozenset({"localhost", own, f"{own.partition('.')[0]}.local", *allowed})

    def allows(self, header: str | None, local_address: str | None) -> bool:
        """Whether a request with this Host header, on a connection to this address, is meant for us."""
        name = host_of(header)
        if name is None:
            return False
        if name in self._names:
            return True
        return local_address is not None and plain(name) is not None and plain(name) == plain(local_address)


def same_origin(origin: str, scheme: str, host: str) -> bool:
    """Whether a page of this origin was served by what answers under this scheme and Host header."""
    if origin == "null":
        return False
    page_scheme, _, page_host = origin.partition("://")
    secure = scheme in ("https", "wss")
    return page_scheme == ("https" if secure else "http") and _with_port(page_host, secure) == _with_port(host, secure)


def _with_port(host: str, secure: bool) -> str:
    host = host.lower()
    has_port = re.search(r":[0-9]+\Z", host) is not None and not host.endswith("]")
    return host if has_port else f"{host}:{443 if secure else 80}"
