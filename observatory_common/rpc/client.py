"""The client library: `connect("focusd_east")` and call the daemon's methods on what it returns."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

from observatory_common import tls as site_tls
from observatory_common.directory import DaemonEntry, Directory
from observatory_common.errors import (
    DaemonNotReachable,
    InvalidConfig,
    ObservatoryError,
    TimedOut,
    Uncertain,
    UnknownJob,
    UnknownMethod,
)
from observatory_common.rpc import wire
from observatory_common.rpc.connection import Connection
from observatory_common.rpc.message import ON_BEHALF_OF, BadMessage, Ended
from observatory_common.version import software_version

if TYPE_CHECKING:
    import ssl

_LONG_POLL_S = 10.0
_PROGRESS_EVERY_S = 1.0
_RECONNECT_EVERY_S = 0.25
_LONGEST_ABSENCE_S = 30.0


@dataclass(frozen=True)
class _Held:
    """How long a daemon may hold a call: so many seconds, unless an argument says otherwise (its name and position)."""

    held_s: float
    argument: str | None = None
    position: int = 0

    def seconds(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> float:
        """For a call with these arguments; a nonsensical one is refused at once."""
        if self.argument is None:
            return self.held_s
        asked = args[self.position] if len(args) > self.position else kwargs.get(self.argument, self.held_s)
        return min(max(float(asked), 0.0), _LONG_POLL_S) if type(asked) in (int, float) else 0.0


_UNTIL_IN_EFFECT = _Held(2.0, "timeout_s", 1)
_OPENED = _Held(15.0)  # gpiod may have to wait for what is being opened, then bring every output to rest
_RECONFIGURED = _Held(20.0)  # and back again, if the camera refuses
#: The methods of all daemons that may be held on purpose; their answer is waited for so much longer.
_HELD: Mapping[str, _Held] = {
    "wait": _Held(_LONG_POLL_S, "up_to_s", 1),
    "events": _Held(_LONG_POLL_S, "timeout_s", 2),
    "frame": _Held(_LONG_POLL_S, "timeout_s", 3),
    "packets": _Held(_LONG_POLL_S, "timeout_s", 3),
    "set_controls": _UNTIL_IN_EFFECT,
    "set_exposure": _UNTIL_IN_EFFECT,
    "set_gain": _UNTIL_IN_EFFECT,
    "set_crop": _Held(2.0),
    "histogram": _Held(10.0),
    "configure": _Held(10.0),
    "set_use_case": _RECONFIGURED,
    "load_settings": _RECONFIGURED,
    "apply_settings": _RECONFIGURED,
    "reset_settings": _RECONFIGURED,
    "start_video": _Held(10.0),
    "call": _Held(6.0),
    "all_off": _Held(7.0),
    "initialize": _OPENED,
    "shutdown": _OPENED,
}


class RemoteDaemon:
    """A daemon, seen from a client. Remote methods are called as methods of this object, or with `invoke`.

    May be used from many threads: each has a connection of its own, which is opened at its first call and again when it
    was lost. A method that only reads is tried a second time if its connection breaks; one that changes something is
    sent once. Refusals are raised as the classes of `observatory_common.errors`; DaemonNotReachable says that there was
    no contact or no answer, and for what changes something then, that it is not known whether it was done.
    """

    def __init__(self, entry: DaemonEntry, timeout_s: float, tls: ssl.SSLContext | None) -> None:
        self._entry = entry
        self._timeout_s = timeout_s
        self._tls = tls
        self._local = threading.local()
        self._connections: weakref.WeakSet[Connection] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._version: str | None = None  # the daemon's, once it has said it

    def __enter__(self) -> RemoteDaemon:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        # An answer may have been of another form than expected. Asked for only then: our own version takes a while to find out.
        if isinstance(error, KeyError | TypeError) and (versions := self._versions()):
            error.add_note(versions)
        self.close()

    def __getattr__(self, method: str) -> Callable[..., Any]:
        if method.startswith("_"):
            raise AttributeError(f"a remote daemon has no {method}")
        return partial(self._call, method)

    def __repr__(self) -> str:
        return f"<RemoteDaemon {self._entry.name} at {self._entry.host}:{self._entry.port}>"

    @property
    def hello(self) -> dict[str, Any]:
        """What the daemon says of itself and of this caller: machines, rights, members (name: level), boot_id,
        software_version. Connects if need be. Raises DaemonNotReachable, InvalidControlIP."""
        return self._connection(time.monotonic() + self._timeout_s).hello

    def invoke(
        self,
        method: str,
        *args: Any,
        timeout_s: float | None = None,
        on_behalf_of: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Call a remote method. The answer must come within `timeout_s` seconds (default: the registry's, plus the
        time for which this method may be held). `on_behalf_of` {user, address} is accepted from gateways only."""
        annotations = None if on_behalf_of is None else {ON_BEHALF_OF: wire.dumps(dict(on_behalf_of))}
        return self._invoke(method, args, kwargs, timeout_s, annotations)

    def wait_for(
        self,
        job: Mapping[str, Any],
        on_progress: Callable[[dict[str, Any]], None] | None = None,
        timeout_s: float | None = None,
        longest_absence_s: float = _LONGEST_ABSENCE_S,
    ) -> dict[str, Any]:
        """Wait until a job has ended, however it ends, and return it; `on_progress` is called about every second.

        Lost connections are made again. Raises TimedOut after `timeout_s`; DaemonNotReachable when the daemon has been
        out of reach for `longest_absence_s`; Uncertain when it has restarted, since its jobs are gone with it: the
        device's status says more.
        """
        began = last_contact = time.monotonic()
        pause_s = _PROGRESS_EVERY_S if on_progress is not None else _LONG_POLL_S
        while True:
            now = time.monotonic()
            left_s = _LONG_POLL_S if timeout_s is None else timeout_s - (now - began)
            if left_s <= 0:
                raise TimedOut(f"job {job['id']} has not ended within {timeout_s:g} s; it goes on")
            try:
                boot_id = self._connection(now + self._timeout_s).hello.get("boot_id")
                if boot_id != job["boot_id"]:
                    raise Uncertain(
                        f"{self._entry.name} has restarted while job {job['id']} ({job['kind']}) ran: what became of it is"
                        " not known here, see the status",
                        value=job["id"],
                    )
                seen: dict[str, Any] = self._call("wait", job["id"], min(pause_s, left_s))
            except UnknownJob:
                if self.hello.get("boot_id") == job["boot_id"]:
                    raise
                continue
            except DaemonNotReachable:
                if time.monotonic() - last_contact >= longest_absence_s:
                    raise
                time.sleep(min(_RECONNECT_EVERY_S, left_s))
                continue
            last_contact = time.monotonic()
            if seen.get("boot_id") == job["boot_id"]:
                if on_progress is not None:
                    on_progress(seen)
                if seen["state"] != "running":
                    return seen

    def close(self) -> None:
        """Close the connections of all threads, which ends the calls under way; a later call opens a new one."""
        with self._lock:
            connections = list(self._connections)
            self._connections.clear()
            self._local = threading.local()
        for connection in connections:
            connection.close()

    def _call(self, method: str, /, *args: Any, **kwargs: Any) -> Any:
        return self._invoke(method, args, kwargs, None, None)

    def _invoke(
        self,
        method: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        timeout_s: float | None,
        annotations: Mapping[str, bytes] | None,
    ) -> Any:
        if timeout_s is None:
            timeout_s = self._timeout_s + (_HELD[method].seconds(args, kwargs) if method in _HELD else 0.0)
        until = time.monotonic() + timeout_s
        may_repeat = True
        while True:
            connection = self._connection(until)
            only_reads = connection.hello.get("members", {}).get(method) == "view"
            try:
                return connection.call(method, args, kwargs, max(until - time.monotonic(), 0.001), annotations)
            except UnknownMethod as error:
                if versions := self._versions():
                    error.message += f" ({versions})"
                    error.args = (error.message,)
                raise
            except ObservatoryError:
                raise
            except (OSError, BadMessage) as error:
                was_ours = self._drop(connection)
                if only_reads and may_repeat and was_ours and isinstance(error, Ended):  # else `close` has broken it off
                    may_repeat = False
                    continue
                what = f"no answer within {timeout_s:g} s" if isinstance(error, TimeoutError) else _why(error)
                doubt = "" if only_reads else f"; it is not known whether {method} was done"
                raise self._not_reachable(f"{what}{doubt}") from None
            except BaseException:  # interrupted: a late answer must not meet the next call
                self._drop(connection)
                raise

    def _connection(self, until: float) -> Connection:
        """This thread's connection, opened (again) if the daemon does not hold it any more. Nothing is sent twice."""
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is not None:
            if connection.usable():
                return connection
            self._drop(connection)
        timeout_s = max(min(self._timeout_s, until - time.monotonic()), 0.001)
        try:
            connection = Connection(self._entry.host, self._entry.port, self._entry.object, timeout_s, self._tls)
        except ObservatoryError:
            raise
        except TimeoutError:
            raise self._not_reachable(f"no answer within {timeout_s:g} s") from None
        except (OSError, BadMessage) as error:
            raise self._not_reachable(_why(error)) from None
        with self._lock:
            self._version = connection.hello.get("software_version")
            self._local.connection = connection
            self._connections.add(connection)
        return connection

    def _drop(self, connection: Connection) -> bool:
        """Close one of our connections; whether it still was one."""
        connection.close()
        with self._lock:
            was_ours = connection in self._connections
            self._connections.discard(connection)
            self._local.connection = None
            return was_ours

    def _versions(self) -> str:
        """Which versions meet here, where they differ and that is known."""
        ours = software_version()
        return "" if self._version in (None, ours) else f"{self._entry.name} has version {self._version}, this program {ours}"

    def _not_reachable(self, why: str) -> DaemonNotReachable:
        where = f"{self._entry.name} at {self._entry.host}:{self._entry.port}"
        return DaemonNotReachable(f"cannot reach {where}: {why}", value=self._entry.name)


def connect(
    daemon_name: str,
    *,
    directory: Directory | None = None,
    timeout_s: float | None = None,
    tls: site_tls.Tls | None = None,
) -> RemoteDaemon:
    """The daemon of this name in the registry (`directory`, default the installed one). Contacts nobody yet.

    `timeout_s` replaces the registry's for every call. With the installed registry, its tls.json counts; with another,
    `tls` does. Raises InvalidConfig for an unknown name or a broken registry.
    """
    if directory is None:
        directory = Directory.load()
        tls = site_tls.load() if tls is None else tls
    entry = directory.daemon(daemon_name)
    timeout_s = entry.timeout_s if timeout_s is None else timeout_s
    if not timeout_s > 0:
        raise InvalidConfig(f"timeout_s is {timeout_s!r}, expected a number above 0")
    return RemoteDaemon(entry, timeout_s, None if tls is None else tls.client_context())


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
