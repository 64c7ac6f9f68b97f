"""The gateway's end of one daemon."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from observatory_common import timestamps
from observatory_common.directory import Directory
from observatory_common.errors import DaemonNotReachable, ObservatoryError
from observatory_common.rpc.client import RemoteDaemon, connect
from observatory_common.tls import Tls
from observatory_webd.config import Shown
from observatory_webd.lanes import Lane
from observatory_webd.links.feed import Feed

log = logging.getLogger("webd.links")

_LOOK_EVERY_S = 1.0
_REST_S = 0.1  # between two looks, however much happens
_GATEWAY = "gateway"
#: Overtake whatever is under way: they have threads of their own, and never wait behind another call.
_URGENT = frozenset({"stop_channel", "cancel", "all_off", "stop_sequence", "stop_video"})
#: The same of a GPIO device, which gpiod's `call` does.
_URGENT_OF_DEVICES = frozenset({"stop", "off", "detach"})
#: May be held for seconds on purpose, and must not keep a button waiting; nor may who waits for jobs, or downloads much,
#: keep others from the list of files.
_LANES = {"wait": "waits", "read_file": "reading"} | dict.fromkeys(("frame", "packets", "histogram", "files"), "held")


def _as_it_is(answer: Any) -> Any:
    return answer


class Person(Protocol):
    """On whose behalf a call is made."""

    @property
    def name(self) -> str: ...
    @property
    def address(self) -> str: ...


@dataclass(frozen=True)
class Seen:
    """What a daemon last said. `status` is its last status, however old; `since` is since when `reachable` is as it is."""

    reachable: bool
    since: str
    status: dict[str, Any] | None
    error: str | None
    read_at: float | None
    names_users: bool | None

    @property
    def age_s(self) -> float | None:
        """How old the status is."""
        return None if self.read_at is None else round(time.monotonic() - self.read_at, 3)


class Link:
    """One daemon: its calls, what it last said, its events. Made by `Links`."""

    def __init__(self, shown: Shown, directory: Directory, tls: Tls | None, feed: Feed) -> None:
        self.shown = shown
        self.source = f"{shown.kind}/{shown.name}"
        self._directory = directory
        self._tls = tls
        self._feed = feed
        self._daemon = self.connect()
        self._lanes = {
            "calls": Lane(shown.name, 4, 16),
            "urgent": Lane(f"{shown.name}-urgent", 2, 8),
            "held": Lane(f"{shown.name}-held", 4, 16),
            "reading": Lane(f"{shown.name}-reading", 4, 32),
            "waits": Lane(f"{shown.name}-waits", 16, 48),
        }
        self._seen = Seen(False, timestamps.utc_now(), None, None, None, None)
        self._closing = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name=f"webd-{shown.name}-watch", daemon=True)

    @property
    def name(self) -> str:
        """Its name in addresses."""
        return self.shown.name

    @property
    def seen(self) -> Seen:
        """What it last said."""
        return self._seen

    def connect(self) -> RemoteDaemon:
        """Another client of the daemon, with connections of its own; the caller closes it. Contacts nobody yet."""
        return connect(self.shown.daemon, directory=self._directory, tls=self._tls)

    async def call(
        self,
        method: str,
        *args: Any,
        user: Person | None = None,
        timeout_s: float | None = None,
        then: Callable[[Any], Any] = _as_it_is,
        **kwargs: Any,
    ) -> Any:
        """Call a remote method in a thread, and there make of its answer what `then` does, which may take its time.

        Its audit line names `user` if this machine is a gateway there.
        Raises what the daemon refuses with, DaemonNotReachable (at once while the daemon is known to be away, except for
        what stops something: that is tried), and Busy when too many calls wait already.
        """
        self._require_present(method, args)
        lane = self._lanes["urgent" if _is_urgent(method, args) else _LANES.get(method, "calls")]
        call = partial(self._call, method, args, kwargs, user, timeout_s)
        return await asyncio.wrap_future(lane.submit(lambda: then(call())))

    def start(self) -> None:
        """Begin to watch the daemon."""
        self._watcher.start()

    def close(self) -> None:
        """Begin to end: break off what is under way; see `join`."""
        self._closing.set()
        for lane in self._lanes.values():
            lane.close()
        self._daemon.close()

    def join(self, deadline_at: float) -> bool:
        """Wait for the threads until a monotonic time; whether they have all ended."""
        if self._watcher.is_alive():
            self._watcher.join(max(deadline_at - time.monotonic(), 0.0))
        ended = [lane.join(deadline_at) for lane in self._lanes.values()]
        return all(ended) and not self._watcher.is_alive()

    def to_wire(self) -> dict[str, Any]:
        """What is told of it: kind, name, label, daemon, whether it is reachable and since when, its last status, its age."""
        seen = self._seen
        return {
            "kind": self.shown.kind,
            "name": self.name,
            "label": self.shown.label,
            "daemon": self.shown.daemon,
            "reachable": seen.reachable,
            "since": seen.since,
            "error": seen.error,
            "status_age_s": seen.age_s,
            "names_users": seen.names_users,
            "status": seen.status,
        }

    def _call(
        self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any], user: Person | None, timeout_s: float | None
    ) -> Any:
        self._require_present(method, args)  # it may have been lost while this waited
        said = None
        if user is not None and _GATEWAY in self._daemon.hello.get("rights", ()):
            said = {"user": user.name, "address": user.address}
        return self._daemon.invoke(method, *args, timeout_s=timeout_s, on_behalf_of=said, **kwargs)

    def _require_present(self, method: str, args: tuple[Any, ...]) -> None:
        seen = self._seen
        if not seen.reachable and seen.error is not None and not _is_urgent(method, args):
            raise DaemonNotReachable(seen.error, value=self.shown.daemon)

    # watching

    def _watch(self) -> None:
        boot_id: str | None = None
        after = 0
        while not self._closing.is_set():
            try:
                self._note_status(self._daemon.report_status())
                if boot_id is None:
                    boot_id, after = self._present()
                answer = self._daemon.events(boot_id, after, _LOOK_EVERY_S)
                self._tell(answer)
                boot_id, after = answer["boot_id"], answer["next"]
            except ObservatoryError as error:
                self._note_away(error)
                self._closing.wait(_LOOK_EVERY_S)
            self._closing.wait(_REST_S)

    def _present(self) -> tuple[str, int]:
        """The daemon's boot_id and the number of its last event: what was before we came is old news."""
        answer = self._daemon.events(None, 0, 0.0)
        while answer["events"] and not self._closing.is_set():  # an answer has only some of them, the oldest first
            answer = self._daemon.events(answer["boot_id"], answer["next"], 0.0)
        return answer["boot_id"], answer["next"]

    def _tell(self, answer: dict[str, Any]) -> None:
        if answer["lost"]:
            self._feed.publish(self.source, "lost", {"count": answer["lost"]})
        for event in answer["events"]:
            self._feed.publish(self.source, event["name"], {"date": event["date"], "source": event["source"], **event["data"]})

    def _note_status(self, status: dict[str, Any]) -> None:
        before, now = self._seen, timestamps.utc_now()
        names_users = _GATEWAY in self._daemon.hello.get("rights", ())
        self._seen = Seen(True, before.since if before.reachable else now, status, None, time.monotonic(), names_users)
        if not before.reachable:
            log.info("%s answers", self.source)
            if not names_users:
                log.warning("%s: its audit will not name users: this machine is none of its gateway_machines", self.source)
        self._feed.publish(self.source, "status", self.to_wire())

    def _note_away(self, error: ObservatoryError) -> None:
        if self._closing.is_set():
            return
        before = self._seen
        changed = before.reachable or before.error != str(error)
        since = timestamps.utc_now() if before.reachable else before.since
        self._seen = Seen(False, since, before.status, str(error), before.read_at, before.names_users)
        if changed:
            log.warning("%s: %s", self.source, error)
        self._feed.publish(self.source, "status", self.to_wire())


def _is_urgent(method: str, args: tuple[Any, ...]) -> bool:
    return method in _URGENT or (method == "call" and args[1] in _URGENT_OF_DEVICES)
