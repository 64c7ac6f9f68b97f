"""The FTP server: one thread for all its connections, started and ended by the daemon."""

from __future__ import annotations

import logging
import socket
import threading
import time
from typing import Any

from pyftpdlib.ioloop import IOLoop
from pyftpdlib.servers import FTPServer

from observatory_common.errors import InvalidConfig
from observatory_ftpd import tls
from observatory_ftpd.config import FtpdConfig
from observatory_ftpd.ftp.aside import Aside, Mailbox
from observatory_ftpd.ftp.services import Services
from observatory_ftpd.ftp.session import PlainSession, TlsSession, with_settings

_BACKLOG = 512
_TICK_S = 1.0
_UPLOADS_WAITING = 32


class _Library(FTPServer):  # type: ignore[misc]  # pyftpdlib has no type information
    """The library's server, which counts sessions instead of sockets."""

    def __init__(self, sock: socket.socket, handler: Any, loop: IOLoop, most: int, most_per_address: int) -> None:
        self.sessions: set[Any] = set()
        self.max_cons = most
        self.max_cons_per_ip = most_per_address
        super().__init__(sock, handler, loop, _BACKLOG)

    def _accept_new_cons(self) -> bool:
        return len(self.sessions) <= self.max_cons


class FtpServer:
    """Serves the drop folder by FTP. `start` binds it and begins, `close` ends it within bounds."""

    def __init__(self, config: FtpdConfig, services: Services) -> None:
        self._config = config
        self._services = services
        self._library: _Library | None = None
        self._ending = False
        self._progress_s = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="ftpd-server", daemon=True)
        self.address: tuple[str, int] = (config.host or "*", config.port)

    def start(self) -> None:
        """Bind and serve. Raises InvalidConfig if the address or the certificate cannot be had."""
        # Its lines say what the audit does, and a flood of connections would fill the log with them.
        logging.getLogger("pyftpdlib").setLevel(logging.ERROR)
        config, limits = self._config, self._config.limits
        settings: dict[str, Any] = {
            "services": self._services,
            "banner": f"{config.file_name} is applied to {config.camera}, and a test photo taken.",
            "timeout": limits.idle_s,
            "passive_ports": None
            if config.passive_ports is None
            else range(config.passive_ports[0], config.passive_ports[1] + 1),
            "masquerade_address": config.masquerade_address,
        }
        if config.tls is not None:
            required = {"tls_control_required": config.tls.required, "tls_data_required": config.tls.required}
            settings |= {"ssl_context": tls.server_context(config.tls), **required}
        listening = self._bound()
        self._loop = IOLoop()
        self._mailbox = Mailbox(self._loop)
        self._checks = Aside("ftpd-logins", self._mailbox, limits.connections)
        self._takes = Aside("ftpd-uploads", self._mailbox, _UPLOADS_WAITING)
        settings |= {"checks": self._checks, "takes": self._takes}
        session = with_settings(PlainSession if config.tls is None else TlsSession, **settings)
        self._library = _Library(listening, session, self._loop, limits.connections, limits.connections_per_address)
        self.address = (config.host or "*", listening.getsockname()[1])
        self._progress_s = time.monotonic()
        self._thread.start()

    def last_progress(self) -> float:
        """When the server's thread last showed life, on the monotonic clock."""
        return self._progress_s

    def sessions(self) -> list[dict[str, Any]]:
        """Who is connected: user (None: not logged in), address, since, tls."""
        library = self._library
        found = [] if library is None else list(library.sessions.copy())
        return [
            {
                "user": session.username if session.authenticated else None,
                "address": session.remote_ip if session.caller is None else session.caller.address,
                "since": session.since,
                "tls": bool(getattr(session, "_ssl_established", False)),
            }
            for session in found
        ]

    def close(self, deadline_s: float) -> None:
        """End all connections and threads within about `deadline_s` seconds; an upload under way is lost."""
        if self._library is None:
            return
        self._ending = True
        self._checks.close()
        self._takes.close()
        self._mailbox.post(lambda: None)
        self._thread.join(deadline_s)

    def _run(self) -> None:
        due_s: float | None = _TICK_S
        while not self._ending:
            due_s = self._loop.loop(_TICK_S if due_s is None else min(due_s, _TICK_S), blocking=False)
            self._progress_s = time.monotonic()
        self._loop.close()

    def _bound(self) -> socket.socket:
        host, port = self._config.host, self._config.port
        try:
            if host is None and socket.has_dualstack_ipv6():
                return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
            family = socket.AF_INET6 if ":" in (host or "") else socket.AF_INET
            return socket.create_server((host or "", port), family=family)
        except OSError as error:
            where = f"{host or 'all addresses'} port {port}"
            raise InvalidConfig(f"FTP cannot listen on {where}: {error.strerror}", value=port) from error
