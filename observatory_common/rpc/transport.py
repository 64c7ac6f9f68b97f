"""Pyro5's thread server under our own handshake and requests: sockets, threads, their limits and their end.

Pyro5 5.17 is used as it is; `_handshake`, `handleRequest` and `clientDisconnect` are what its worker threads call, `_admit`
is what gives a connection to one of them.
"""

from __future__ import annotations

import logging
import math
import os
import selectors
import socket
import ssl
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from observatory_common.access import Caller, plain_address
from observatory_common.errors import CommandStatus
from observatory_common.rpc.message import BadMessage
from observatory_common.rpc.session import (
    HANDSHAKE_S,
    LARGEST_HANDSHAKE_BYTES,
    PARTING_S,
    Service,
    Session,
    sent_away,
    without_rights,
)

POOL_SIZE = 200
MOST_PER_ADDRESS = 100  # connections: one machine cannot shut out the others
_MOST_PARTING = 256
_BACKLOG = 1024  # more than a flood sends before it is turned away; a full one delays good callers by a second
_HOUSEKEEPING_S = 10.0
_OUT_OF_SOCKETS_PAUSE_S = 0.1
_ACCEPT_ENDS_WITHIN_S = 2.0  # it waits for nobody

log = logging.getLogger("rpc")


@contextmanager
def _without_pyro_environment() -> Iterator[None]:
    """PYRO_* variables would configure Pyro5 behind our back; one that it does not know would even stop its import."""
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("PYRO_")}
    try:
        yield
    finally:
        os.environ.update(hidden)


with _without_pyro_environment():
    from Pyro5 import config, errors, server, socketutil, svr_threads


def configure_pyro() -> None:
    """Set what Pyro5 keeps once per process. Only our server depends on it; our client does not use Pyro5."""
    config.reset(False)
    config.SERVERTYPE = "thread"
    config.SERIALIZER = "msgpack"
    config.THREADPOOL_SIZE, config.THREADPOOL_SIZE_MIN = POOL_SIZE, 4
    config.SOCK_NODELAY = True
    config.POLLTIMEOUT = _HOUSEKEEPING_S
    config.ITER_STREAMING = False
    # It would write a line for each connection that finds the pool full; the audit counts them.
    logging.getLogger("Pyro5.threadpoolserver").setLevel(logging.ERROR)


class Transport(server.Daemon):  # type: ignore[misc]  # Pyro5 has no type information
    """The listening socket, its accept loop, and the connections with a thread each. Raises OSError if it cannot bind."""

    def __init__(self, service: Service, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        configure_pyro()
        socket.create_server((host, port), family=_family(host)).close()  # fails as Pyro5's would, but leaks nothing
        super().__init__(host=host, port=port)
        self.sock.listen(_BACKLOG)
        self._service = service
        self._tls = tls
        self._closing = threading.Event()
        self._connections: dict[socketutil.SocketConnection, str] = {}
        self._per_address: Counter[str] = Counter()
        self._greeted: set[socketutil.SocketConnection] = set()
        self._changed = threading.Condition()
        self._parting: deque[tuple[float, socketutil.SocketConnection]] = deque()  # the accept loop's
        self._give_thread = self.transportServer.pool.process
        self.transportServer.pool.process = self._admit
        self._wake, self._woken = socket.socketpair()
        self.address: tuple[str, int] = self.sock.getsockname()[:2]
        self._thread = threading.Thread(target=self._accept, name="rpc-accept", daemon=True)
        self._thread.start()

    def stop(self, deadline_s: float) -> None:
        """Accept nothing more, let calls that run be answered, end all threads; within about `deadline_s` seconds."""
        until = time.monotonic() + deadline_s
        self._closing.set()
        self._wake.send(b".")
        self._thread.join(_ACCEPT_ENDS_WITHIN_S)
        if self._thread.is_alive():
            log.error("the thread that accepts connections did not end within %g s", _ACCEPT_ENDS_WITHIN_S)
        self._wake.close()
        self._woken.close()
        for how, end in ((socket.SHUT_RD, until - deadline_s / 3), (socket.SHUT_RDWR, until)):
            with self._changed:
                for connection in self._connections:
                    _shut_down(connection.sock, how)
                self._changed.wait_for(lambda: not self._connections, max(end - time.monotonic(), 0.0))
        if self._connections:
            log.error("%d calls did not end within %g s", len(self._connections), deadline_s)
        # Pyro5 waits 0.1 s for each thread; calls that do not end must not add up beyond the deadline.
        closer = threading.Thread(target=self.close, name="rpc-close", daemon=True)
        closer.start()
        closer.join(max(until - time.monotonic(), 1.0))

    def _accept(self) -> None:
        warned_at = -_HOUSEKEEPING_S
        with selectors.DefaultSelector() as selector:
            selector.register(self.sock, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while not self._closing.is_set():
                wait_s = max(self._parting[0][0] - time.monotonic(), 0.0) if self._parting else _HOUSEKEEPING_S
                ready = selector.select(wait_s)
                self._end_parting(time.monotonic())
                self._service.gate.audit.flush()
                if not any(key.fileobj is self.sock for key, _ in ready):
                    continue
                try:
                    self.events([self.sock])
                except (OSError, RuntimeError) as error:  # no file descriptor or no thread left: neither die nor spin
                    if time.monotonic() - warned_at >= _HOUSEKEEPING_S:
                        warned_at = time.monotonic()
                        log.error("cannot accept connections for now: %s", error)
                    self._closing.wait(_OUT_OF_SOCKETS_PAUSE_S)
        self._end_parting(math.inf)

    def _admit(self, job: svr_threads.ClientConnectionJob) -> None:
        """Give a new connection a thread. Who has no right at all is sent away here: strangers take none (with TLS, who
        somebody is comes out in the thread)."""
        if self._tls is None:
            try:
                caller = self._caller_at(plain_address(job.caddr[0]))
            except ValueError:
                job.csock.close()
                return
            if not caller.rights:
                self._send_away(job.csock, caller)
                return
        self._give_thread(job)

    def _send_away(self, conn: socketutil.SocketConnection, caller: Caller) -> None:
        try:
            conn.sock.settimeout(0)
            conn.sock.sendall(sent_away(self._service, caller, without_rights(self._service, caller)))
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:  # it did not wait to hear it
            conn.close()
            return
        self._parting.append((time.monotonic() + PARTING_S, conn))

    def _end_parting(self, now: float) -> None:
        """Close those who have been told why, and have had the time to read it."""
        while self._parting and (self._parting[0][0] <= now or len(self._parting) > _MOST_PARTING):
            _, conn = self._parting.popleft()
            with suppress(OSError):
                conn.sock.recv(LARGEST_HANDSHAKE_BYTES)  # unread, it would take the answer from the client
            conn.close()

    # called by Pyro5's threads

    def _handshake(self, conn: socketutil.SocketConnection, denied_reason: str | None = None) -> bool:
        """Called in the connection's thread; with a reason (no thread is free) in the accept loop, where nothing waits."""
        until = time.monotonic() + HANDSHAKE_S
        try:
            address = plain_address(conn.sock.getpeername()[0])
        except (OSError, ValueError):
            return False  # gone already
        if denied_reason is not None:
            self._refused(self._caller_at(address), "all connections are taken")
            return False
        if not self._enter(conn, address):
            return False
        greeted = False
        try:
            caller = self._identify(conn, address, until)
            if caller is not None:
                conn.session = Session(self._service, caller, conn.sock)
                greeted = conn.session.greet(until)
            if greeted:
                with self._changed:
                    self._greeted.add(conn)
        except OSError as error:
            log.debug("%s left in the handshake: %s", address, error)
        except Exception:  # belongs to nobody else: Pyro5 would keep it to itself
            log.exception("unexpected error in a handshake with %s", address)
        finally:
            if not greeted:
                self._leave(conn)
        return greeted

    def handleRequest(self, conn: socketutil.SocketConnection) -> None:  # noqa: N802 (Pyro5's name)
        """Serve one request. Any exception from here ends the connection."""
        try:
            conn.session.serve()
        except BadMessage as error:
            self._refused(conn.session.caller, str(error), CommandStatus.InvalidArgument)
        except OSError as error:
            log.debug("%s: %s", conn.session.caller, error)
        except Exception:  # as above
            log.exception("unexpected error in a connection of %s", conn.session.caller)
        else:
            return
        raise errors.ConnectionClosedError("closed")

    def clientDisconnect(self, conn: socketutil.SocketConnection) -> None:  # noqa: N802 (Pyro5's name)
        """A connection that was greeted has ended."""
        self._leave(conn)

    # identity and bookkeeping

    def _identify(self, conn: socketutil.SocketConnection, address: str, until: float) -> Caller | None:
        if self._tls is None:
            return self._caller_at(address)
        try:
            conn.sock = self._tls.wrap_socket(conn.sock, server_side=True, do_handshake_on_connect=False)
            conn.sock.settimeout(until - time.monotonic())
            conn.sock.do_handshake()
        except OSError as error:  # ssl.SSLError is one
            self._refused(self._caller_at(address), f"no TLS with a certificate of this site: {error}")
            return None
        return _caller_of(self._service, conn.sock.getpeercert(), address)

    def _caller_at(self, address: str) -> Caller:
        return self._service.policy.caller_at(address)

    def _refused(self, caller: Caller, reason: str, code: int = CommandStatus.InvalidControlIP) -> None:
        self._service.gate.audit.refused(str(caller), "a connection", code, reason)

    def _enter(self, conn: socketutil.SocketConnection, address: str) -> bool:
        with self._changed:
            full = self._per_address[address] >= MOST_PER_ADDRESS and not self._make_room(address)
            if not full and not self._closing.is_set():
                self._connections[conn] = address
                self._per_address[address] += 1
                return True
        if full:
            self._refused(self._caller_at(address), f"more than {MOST_PER_ADDRESS} connections")
        return False

    def _make_room(self, address: str) -> bool:
        """End the oldest connection of an address that has not shaken hands: silent ones must not keep out who speaks."""
        for conn, other in self._connections.items():
            if other == address and conn not in self._greeted:
                self._greeted.add(conn)  # not to be chosen twice
                _shut_down(conn.sock, socket.SHUT_RDWR)
                return True
        return False

    def _leave(self, conn: socketutil.SocketConnection) -> None:
        with self._changed:
            address = self._connections.pop(conn, None)
            self._greeted.discard(conn)
            if address is not None:
                self._per_address[address] -= 1
                if not self._per_address[address]:
                    del self._per_address[address]
            self._changed.notify_all()


def _caller_of(service: Service, certificate: dict[str, object], address: str) -> Caller:
    """The caller that a verified certificate names: by its common name, or else by a DNS name in it."""
    subject: object = certificate.get("subject", ())
    alternative: object = certificate.get("subjectAltName", ())
    names = [value for part in subject for key, value in part if key == "commonName"]  # type: ignore[attr-defined]
    names += [value for key, value in alternative if key == "DNS"]  # type: ignore[attr-defined]
    callers = [service.policy.caller_with_subject(name, address) for name in names or [""]]
    return next((caller for caller in callers if caller.machines), callers[0])


def _shut_down(sock: socket.socket, how: int) -> None:
    try:
        socket.socket.shutdown(sock, how)  # not SSLSocket's, which would let the rest of an answer go out in clear
    except OSError:
        pass  # it is closed already


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
