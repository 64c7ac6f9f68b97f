"""A client's session: who it is, what it may do, and what it may not although the library could."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from pyftpdlib.handlers import FTPHandler, TLS_FTPHandler

from observatory_common import timestamps
from observatory_common.access import CONTROL, VIEW, Caller
from observatory_common.arguments import shown
from observatory_common.errors import CommandStatus
from observatory_ftpd.config import DROP, READ
from observatory_ftpd.drop import Incoming
from observatory_ftpd.ftp.aside import Aside
from observatory_ftpd.ftp.folder import DropView
from observatory_ftpd.ftp.services import Sender, Services
from observatory_ftpd.ftp.transfers import PassiveListener, PlainTransfer, TlsTransfer

LOGIN_WITHIN_S = 60.0
REFUSAL_AFTER_S = 1.0
_PERMISSIONS = {READ: "elr", DROP: "elrw"}  # as the library names them: enter, list, read, write
_LEFT_OUT = ("APPE", "STOU", "MFMT", "SITE CHMOD")
_NO_DATA_CONNECTION = "425 There is no data connection; use PASV, EPSV, PORT or EPRT first."
_UNAVAILABLE = "451 The server could not do it; its log says why."

log = logging.getLogger("ftpd")


class _Permissions:
    """What a session may do, in the form in which the library asks."""

    def __init__(self) -> None:
        self.rights: str | None = None

    def has_perm(self, user: str, permission: str, path: str | None = None) -> bool:
        """Whether it may do this."""
        return permission in self.get_perms(user)

    def get_perms(self, user: str) -> str:
        """All that it may do."""
        return _PERMISSIONS.get(self.rights or "", "")

    def get_msg_quit(self, user: str) -> str:
        """The last words."""
        return "Goodbye."

    def impersonate_user(self, user: str, password: str) -> None:
        """Nobody is impersonated."""

    def terminate_impersonation(self, user: str) -> None:
        """Nobody is impersonated."""


class PlainSession(FTPHandler):  # type: ignore[misc]  # pyftpdlib has no type information
    """A session without TLS. All of it runs in the server's thread; what would hold that up is done aside."""

    services: Services
    checks: Aside
    takes: Aside
    abstracted_fs = DropView
    dtp_handler = PlainTransfer
    passive_dtp = PassiveListener
    proto_cmds = {name: value for name, value in FTPHandler.proto_cmds.items() if name not in _LEFT_OUT}  # noqa: RUF012
    max_login_attempts = 3

    def __init__(self, conn: Any, server: Any, ioloop: Any = None) -> None:
        self.caller: Caller | None = None
        self.sender: Sender | None = None
        self.since: str = timestamps.utc_now()
        self._held: list[tuple[str, str, str]] | None = None  # commands that came while one is carried out aside
        self._overdue: deque[tuple[str, str, str]] = deque()  # those of them that are carried out now
        self._is_refusal_told = False
        self._sessions: set[PlainSession] = server.sessions
        self._sessions.add(self)
        self.authorizer = _Permissions()
        super().__init__(conn, server, ioloop)

    # coming and going

    def handle(self) -> None:
        """Greet a client, if its machine may even look."""
        self.caller = caller = self.services.policy.caller_at(self.remote_ip)
        if VIEW not in caller.rights:
            self._refused("an FTP connection", CommandStatus.InvalidControlIP, "it may not view")
            self.respond(f"421 {caller} may not view this.")
            self.close_when_done()
            return
        self.call_later(LOGIN_WITHIN_S, self._require_login)
        super().handle()

    def handle_max_cons(self) -> None:
        """Too many: one line in the audit, however many there are."""
        self._too_many("all connections are taken")
        super().handle_max_cons()

    def handle_max_cons_per_ip(self) -> None:
        """Too many from one address."""
        self._too_many("too many connections from this address")
        super().handle_max_cons_per_ip()

    def close(self) -> None:
        """Forget the session."""
        try:
            self._forget_upload()
            super().close()
        finally:
            self._sessions.discard(self)  # last: who counts the sessions finds nothing of this one any more

    def flush_account(self) -> None:
        """Log out."""
        self._forget_upload()
        tries: int = self.attempted_logins  # type: ignore[has-type]
        super().flush_account()
        self.attempted_logins = tries  # those of the connection, whatever else begins anew
        self.sender = self.authorizer.rights = None

    def _require_login(self) -> None:
        if not self.authenticated:
            self.respond(f"421 Nobody logged in within {LOGIN_WITHIN_S:g} s.")
            self.close_when_done()

    # one thing at a time

    def pre_process_command(self, line: str, cmd: str, arg: str) -> None:
        """A command, once the one before has been carried out."""
        if self._held is not None:
            self._held.append((line, cmd, arg))
        elif cmd == "STOR":
            self._pre_process_upload(line, arg)
        else:
            super().pre_process_command(line, cmd, arg)

    def _pre_process_upload(self, line: str, path: str) -> None:
        """Also what the library refuses by itself is in the audit."""
        self._last_response, self._is_refusal_told = "", False
        may_upload = self.authenticated and self.authorizer.has_perm(self.username, "w")
        if may_upload and ".." in path.split("/"):
            # Whoever sent the configuration so looks into its report for the reason.
            name = path.rpartition("/")[2]
            self.upload_refused(name if name == self.services.drop.file_name else path, f"{path}: a path with .. is refused")
            self.respond("553 A path with .. is refused.")
        else:
            super().pre_process_command(line, "STOR", path)
        if self._last_response[:1] in ("4", "5") and not self._is_refusal_told:
            code = CommandStatus.InvalidArgument if may_upload else CommandStatus.InvalidControlIP
            what = f"name={shown(path)}, user={shown(self.username)}: {self._last_response[4:]}"
            self._refused("FTP upload", code, what)

    def _hold(self) -> None:
        """Read nothing more, and keep what has been read, until `_go_on`."""
        self._held = []
        self.del_channel()

    def _go_on(self) -> bool:
        """Whether the client is still there; then what it has sent meanwhile is carried out after the current turn."""
        if self._closed:
            return False
        self.add_channel()
        self.call_later(0, self._catch_up)
        return True

    def _catch_up(self) -> None:
        self._overdue.extend(self._held or ())
        self._held = None
        while self._overdue and not self._closed:
            self.pre_process_command(*self._overdue.popleft())

    # logging in

    def ftp_PASS(self, line: str) -> None:  # noqa: N802 (the library's name)
        """Check a password, in the other thread."""
        if self.authenticated or not self.username:
            self.respond("503 Login with USER first." if not self.authenticated else "503 User already authenticated.")
            return
        name, logins = self.username, self.services.logins
        self._hold()
        if logins.needs_password(name):
            self.services.failures.ask(self._who().address, lambda wait_s: self._try(name, line, wait_s))
        else:
            self._checked(name, logins.without_password(name))

    def _try(self, name: str, given: str, wait_s: float) -> bool:
        """Have a password checked, if there is time for it now; whether that is done."""
        if self._closed:
            return False
        if wait_s > 0 or not self.checks.has_room:
            self._refused("a login", CommandStatus.Blocked, f"too many tries; user {shown(name)}")
            self._go_on()
            self.respond(f"421 Too many tries; come back in {max(wait_s, 1):.0f} s.")
            self.close_when_done()
            return False

        def checked(rights: str | None) -> None:
            self.services.failures.ended(self._who().address, rights is not None)
            self._checked(name, rights)

        self.checks.do(lambda: self.services.logins.check(name, given), checked)
        return True

    def _checked(self, name: str, rights: str | None) -> None:
        caller = self._who()
        if rights is None:
            self._refused("a login", CommandStatus.InvalidControlIP, f"user {shown(name)}: unknown, or another password")
            self.ioloop.call_later(REFUSAL_AFTER_S, self._say_refused, _errback=self.handle_error)
            return
        if not self._go_on():
            return
        may_control = CONTROL in caller.rights
        self.authorizer.rights = rights if may_control else READ
        self.sender = Sender(name, caller)
        limited = "" if may_control or rights == READ else " to read; your machine may do no more"
        self.handle_auth_success(str(self.services.drop.folder), "", f"Logged in{limited}.")
        secured = bool(getattr(self, "_ssl_established", False))
        arguments = f"user={shown(name)}, rights={self.authorizer.rights}, tls={secured}"
        self.services.audit.accepted(str(caller), "FTP login", arguments, None)
        self.services.event("login", {"user": name, "address": caller.address, "rights": self.authorizer.rights})

    def _say_refused(self) -> None:
        if not self._go_on():
            return
        self.username = ""
        self.attempted_logins += 1
        self.respond("530 Wrong name or password.")
        if self.attempted_logins >= self.max_login_attempts:
            self.close_when_done()

    # uploads

    def ftp_STOR(self, file: str, mode: str = "w") -> None:  # noqa: N802 (the library's name)
        """Receive a file, whole, from its beginning."""
        if self._restart_position:
            self._restart_position: int = 0
            self.respond("554 An upload cannot be continued; send the whole file.")
        elif self.data_channel is not None and self.data_channel.file_obj is not None:
            self.respond("450 Another transfer is under way.")
        elif not self._has_data_connection():
            self.respond(_NO_DATA_CONNECTION)
        else:
            self._forget_upload()
            super().ftp_STOR(file, mode)

    def push_dtp_data(self, data: Any, isproducer: bool = False, file: Any = None, cmd: Any = None) -> None:
        """Send a file or a list, if there is, or will be, a connection for it."""
        if self._has_data_connection():
            super().push_dtp_data(data, isproducer, file, cmd)
            return
        if file is not None:
            file.close()
        self.respond(_NO_DATA_CONNECTION)

    def require_data_connection(self) -> None:
        """Give up a transfer whose connection was lost before it began."""
        outgoing: Any = self._out_dtp_queue  # type: ignore[has-type]
        if self.data_channel is None and (self._in_dtp_queue is not None or outgoing is not None):
            self._forget_upload("the connection was cut")
            self._out_dtp_queue = None
            if outgoing is not None and outgoing[2] is not None:
                outgoing[2].close()
            self.respond("426 The connection was cut; nothing was transferred.")

    def _make_epasv(self, extmode: bool = False) -> None:
        """Await a data connection."""
        try:
            super()._make_epasv(extmode)
        except OSError as error:
            self._dtp_acceptor = None
            log.warning("no data connection for %s: %s", self.remote_ip, error)
            self.respond("425 No port for a data connection is free; try again.")

    def _has_data_connection(self) -> bool:
        """Whether there is one, or one is awaited (by a listener that has not given up)."""
        awaiting = self._dtp_acceptor is not None and not self._dtp_acceptor._closed
        return awaiting or self.data_channel is not None or self._dtp_connector is not None

    def stop_receiving(self, reply: str) -> None:
        """Called while an upload is written that may not go on."""
        channel = self.data_channel
        channel._resp = (reply, log.debug)
        channel.close()

    def received(self, incoming: Incoming) -> None:
        """An upload has ended well: have it put into its place, then answer."""
        sender = self._sender()
        try:
            incoming.complete()
        except OSError as error:
            self.upload_refused(incoming.name, f"it cannot be written: {error.strerror}")
            self.respond(f"452 {incoming.name} cannot be written: {error.strerror}.")
            return
        if not self.takes.has_room:
            incoming.close()
            self.services.drop.forget(incoming)
            self.upload_refused(incoming.name, "too many uploads at the same time")
            self.respond("450 Too many uploads at the same time; try again.")
            return
        self._hold()
        self.takes.do(lambda: self.services.take(incoming, sender), self._taken)

    def upload_refused(self, name: str, reason: str) -> None:
        """An upload came to nothing."""
        self._is_refusal_told = True
        self.services.refused(name, reason, self._sender())

    def _taken(self, reply: str | None) -> None:
        if self._go_on():
            self.respond(reply or _UNAVAILABLE)

    def _forget_upload(self, reason: str = "its data connection never came") -> None:
        """One that was announced, and not begun."""
        queued = getattr(self, "_in_dtp_queue", None)
        if queued is not None:
            self._in_dtp_queue = None
            queued[0].close()
            self.upload_refused(queued[0].name, reason)

    # the audit

    def _who(self) -> Caller:
        if self.caller is None:
            self.caller = self.services.policy.caller_at(self.remote_ip)
        return self.caller

    def _sender(self) -> Sender:
        return self.sender or Sender(self.username, self._who())

    def _too_many(self, reason: str) -> None:
        self._refused("an FTP connection", CommandStatus.Blocked, reason)

    def _refused(self, what: str, code: int, reason: str) -> None:
        self.services.audit.refused(str(self._who()), what, code, reason)

    def log_exception(self, instance: Any) -> None:
        """An error that nobody expected."""
        log.exception("unexpected error in an FTP session of %s", self.remote_ip)


class TlsSession(PlainSession, TLS_FTPHandler):  # type: ignore[misc]
    """A session that may be secured by AUTH TLS."""

    dtp_handler = TlsTransfer
    proto_cmds = {name: value for name, value in TLS_FTPHandler.proto_cmds.items() if name not in _LEFT_OUT}  # noqa: RUF012

    def ftp_AUTH(self, line: str) -> None:  # noqa: N802 (the library's name)
        """Secure the session. What was sent in clear, by whomever, does not count in it: no login, nothing behind this."""
        self.ac_in_buffer = b""
        self._in_buffer: list[bytes] = []
        self._in_buffer_len = 0
        self._overdue.clear()
        if not self._ssl_requested:
            self.flush_account()
        super().ftp_AUTH(line)


def with_settings(kind: type[PlainSession], **settings: Any) -> Callable[..., Any]:
    """A kind of session with the settings of one server, which the library keeps in classes."""
    return type("Session", (kind,), settings)
