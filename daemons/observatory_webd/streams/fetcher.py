"""The one who asks camerad for a stream: a thread of its own, with a connection of its own, while somebody looks."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from observatory_common.errors import ObservatoryError
from observatory_common.rpc.client import RemoteDaemon
from observatory_webd.streams.items import Item
from observatory_webd.streams.sources import Source

log = logging.getLogger("webd.streams")

_AGAIN_S = 0.5


@dataclass(frozen=True)
class Fetched:
    """One answer: items, whether the camera lives, or why there was none. `taken` is to be called when it was dealt with."""

    items: list[Item]
    lives: bool
    error: ObservatoryError | None
    taken: Callable[[], None]


class Fetcher:
    """Fetches from `want()` on until `done()`. `deliver` is called in its thread, and only after the answer before was taken.

    So there is one fetch at a time, and one answer at most waits for a busy server: what comes next is new then.
    """

    def __init__(
        self,
        name: str,
        daemon: RemoteDaemon,
        make_source: Callable[[], Source],
        deliver: Callable[[Fetched], None],
    ) -> None:
        self._name = name
        self._daemon = daemon
        self._make_source = make_source
        self._deliver = deliver
        self._lock = threading.Lock()
        self._wanted = False
        self._source = make_source()
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()

    @property
    def running(self) -> bool:
        """Whether its thread lives."""
        thread = self._thread
        return thread is not None and thread.is_alive()

    def want(self) -> None:
        """Fetch from now on. Waits for nothing."""
        with self._lock:
            self._wanted = True
            self._source = self._make_source()  # whoever wants it has forgotten what came before, and gets it once more
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"webd-{self._name}", daemon=True)
                self._thread.start()

    def done(self) -> None:
        """Stop, once the fetch under way is answered (1 s, or 4 s of a daemon that does not answer). Waits for nothing."""
        with self._lock:
            self._wanted = False
            self._wake.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end of the thread; whether it has ended."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout_s)
        return not self.running

    def _run(self) -> None:
        while True:
            self._fetch(self._daemon)
            self._daemon.close()
            with self._lock:
                if not self._wanted:
                    self._thread = None  # from here on a new one may begin
                    return

    def _fetch(self, camera: RemoteDaemon) -> None:
        failing = False
        while True:
            with self._lock:
                if not self._wanted:
                    return
                self._wake.clear()
                source = self._source
            taken = threading.Event()
            try:
                items, lives = source.next(camera)
            except ObservatoryError as error:
                if not failing:
                    log.warning("%s: %s", self._name, error)
                failing = True
                self._deliver(Fetched([], False, error, taken.set))
                self._wake.wait(_AGAIN_S)
            else:
                if failing:
                    log.info("%s: it answers again", self._name)
                failing = False
                self._deliver(Fetched(items, lives, None, taken.set))
            while not taken.wait(0.2) and not self._wake.is_set():
                pass
