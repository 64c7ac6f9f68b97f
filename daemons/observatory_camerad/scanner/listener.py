"""Hears the scanner's controller over ZeroMQ, in a thread of its own that never waits for anything else."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from observatory_camerad.acquisition.timing import Clocks
from observatory_camerad.scanner.clock import ControllerClock
from observatory_camerad.scanner.messages import LARGEST_MESSAGE, Message, State, parse

if TYPE_CHECKING:
    import zmq

log = logging.getLogger("camerad.controller")

_POLL_MS = 200
_MOST_AT_ONCE = 1000
_CONNECTS_AFTER_S = 0.3
_COMPLAINS_EVERY_S = 60.0


class Listener:
    """What the controllers at some endpoints have said. Read from other threads without waiting.

    `on_heard` is told when something has changed, `on_command` of a command, `on_event` of `controller_stale` and
    `controller_back`; all in the listener's thread, and quick. After `silent_s` seconds without a word it is stale.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        silent_s: float,
        clock: ControllerClock,
        on_heard: Callable[[], None],
        on_command: Callable[[str], None],
        on_event: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self.state = State()
        self.heard_at: float | None = None  # on the monotonic clock
        self.messages = 0
        self.dropped = 0
        self.restarts = 0
        self.jumps = 0
        self.error: str | None = None
        self._endpoints = tuple(endpoints)
        self._silent_s = silent_s
        self._clock = clock
        self._on_heard = on_heard
        self._on_event = on_event
        self._was_stale = False
        self._on_command = on_command
        self._speaker: str | None = None  # the endpoint that the state is from
        self._complaints = _Complaints()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="camerad-controller", daemon=True)

    @property
    def age_s(self) -> float | None:
        """How long ago the controller was last heard; None if never."""
        heard_at = self.heard_at
        return None if heard_at is None else time.monotonic() - heard_at

    @property
    def is_stale(self) -> bool:
        """Whether it was heard once, and is no more."""
        age_s = self.age_s
        return age_s is not None and age_s > self._silent_s

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self, deadline_s: float) -> None:
        """End."""
        self._closing.set()
        if self._thread.ident is not None:
            self._thread.join(deadline_s)

    def _run(self) -> None:
        import zmq

        with zmq.Context() as context:
            ears: list[_Ear] = []
            try:
                for endpoint in self._endpoints:
                    ears.append(_Ear(context, endpoint))
                self._listen(ears)
            except zmq.ZMQError as error:
                self.error = f"the controller cannot be heard at {', '.join(self._endpoints)}: {error}"
                log.error("%s", self.error)
            finally:
                for ear in ears:
                    ear.close()

    def _listen(self, ears: Sequence[_Ear]) -> None:
        import zmq

        poller = zmq.Poller()
        for ear in ears:
            poller.register(ear.socket, zmq.POLLIN)
            poller.register(ear.monitor, zmq.POLLIN)
        while not self._closing.is_set():
            ready = dict(poller.poll(_POLL_MS))
            for ear in ears:
                if ear.socket in ready:
                    self._hear(ear)
                if ear.monitor in ready and ear.has_gone() and ear.endpoint == self._speaker:
                    self._forget()
                ear.keep_connected()
            self._complaints.tell()
            self._watch()

    def _watch(self) -> None:
        """Tell of silence, and of its end."""
        if self.is_stale == self._was_stale:
            return
        self._was_stale = not self._was_stale
        if self._was_stale:
            log.warning("the controller has been silent for %g s: nothing is taken for it", self._silent_s)
            self._on_event("controller_stale", {"silent_s": self._silent_s})
        else:
            log.info("the controller speaks again")
            self._on_event("controller_back", {})

    def _hear(self, ear: _Ear) -> None:
        """All that has come is taken in, but the time from the newest alone: the others have waited."""
        newest: Message | None = None
        for data in ear.waiting():
            try:
                message = parse(data)
            except ValueError as error:
                self.dropped += 1
                self._complaints.add(ear.endpoint, str(error))
                continue
            self.messages += 1
            if message.command is not None:
                self._on_command(message.command)
                continue
            newest = message
            self.state = self.state.after(message)
        if newest is None:
            return
        self.heard_at = time.monotonic()
        self._speaker = ear.endpoint
        if self._clock.hear(newest.said["time_ns"], Clocks.now().boot_ns):
            self.jumps += 1
            log.warning("the controller's clock has jumped to %d ns", newest.said["time_ns"])
        self._on_heard()

    def _forget(self) -> None:
        """It has gone; the next one may be in another mode, and have another clock."""
        log.info("the controller at %s has gone", self._speaker)
        self.restarts += 1
        self._speaker = None
        self.state = State()
        self._clock.forget()
        self._on_heard()


class _Ear:
    """A subscription to one endpoint, and word of its end."""

    def __init__(self, context: zmq.Context[Any], endpoint: str) -> None:
        import zmq

        self.endpoint = endpoint
        self.socket = context.socket(zmq.SUB)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.MAXMSGSIZE, LARGEST_MESSAGE)
        self.socket.setsockopt(zmq.RCVHWM, _MOST_AT_ONCE)
        self.socket.setsockopt(zmq.RECONNECT_IVL, 100)
        self.socket.setsockopt(zmq.RECONNECT_IVL_MAX, 1000)
        self.socket.setsockopt(zmq.SUBSCRIBE, b"")
        self.socket.setsockopt(zmq.TCP_KEEPALIVE, 1)  # for one that has lost its power
        self.socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, 10)
        self.socket.setsockopt(zmq.TCP_KEEPALIVE_INTVL, 5)
        self.socket.setsockopt(zmq.TCP_KEEPALIVE_CNT, 3)
        failed = zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_AUTH
        self.monitor = self.socket.get_monitor_socket(zmq.EVENT_DISCONNECTED | failed)
        self.monitor.setsockopt(zmq.LINGER, 0)
        self._again_at: float | None = None
        self.socket.connect(endpoint)

    def waiting(self) -> list[bytes]:
        """What has come, oldest first; of a message in parts the parts count as messages of their own."""
        import zmq

        found: list[bytes] = []
        try:
            while len(found) < _MOST_AT_ONCE:
                found.append(self.socket.recv(zmq.NOBLOCK))
        except zmq.Again:
            pass
        return found

    def has_gone(self) -> bool:
        """Whether whoever spoke there has gone, since the last time that this was asked."""
        import zmq
        from zmq.utils.monitor import recv_monitor_message

        gone = False
        try:
            while True:
                gone |= recv_monitor_message(self.monitor, zmq.NOBLOCK)["event"] == zmq.EVENT_DISCONNECTED
                self._again_at = self._again_at or time.monotonic() + _CONNECTS_AFTER_S
        except zmq.Again:
            return gone

    def keep_connected(self) -> None:
        """The library gives up on who sends what is too long, or no ZeroMQ at all; that may be over."""
        import zmq

        if self._again_at is None or time.monotonic() < self._again_at:
            return
        self._again_at = None
        with suppress(zmq.ZMQError):  # it has forgotten that endpoint itself
            self.socket.disconnect(self.endpoint)
        self.socket.connect(self.endpoint)

    def close(self) -> None:
        """End."""
        monitor = self.monitor
        self.socket.disable_monitor()
        monitor.close(0)
        self.socket.close(0)


class _Complaints:
    """What was not understood: told of at once, then at most once a minute."""

    def __init__(self) -> None:
        self._count = 0
        self._last = ""
        self._told_at: float | None = None

    def add(self, endpoint: str, why: str) -> None:
        """One more."""
        self._count += 1
        self._last = f"{endpoint}: {why[:200]}"

    def tell(self) -> None:
        """If there is something to tell, and it is time to."""
        now = time.monotonic()
        if self._count and (self._told_at is None or now - self._told_at >= _COMPLAINS_EVERY_S):
            log.warning("%d messages were not understood; the last from %s", self._count, self._last)
            self._count, self._told_at = 0, now
