"""What every test gets: no leaked thread or process, and a canary that measures the machine's own lag."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator

import hypothesis
import psutil
import pytest
import waiting

hypothesis.settings.register_profile(
    "busy",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],  # a machine may do something else for a while
)
hypothesis.settings.load_profile("busy")

# A shell starts what it puts into the background deaf to Ctrl-C, and so would be all that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


class MachineLag:
    """A thread that asks for 5 ms of sleep over and over; how much longer it took at worst is the machine's lag."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="machine-lag")

    def _watch(self) -> None:
        while True:
            started = time.monotonic()
            if self._end.wait(0.005):
                return
            self.seconds = max(self.seconds, time.monotonic() - started - 0.005)

    def __enter__(self) -> MachineLag:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(5)


@pytest.fixture
def machine_lag() -> Iterator[MachineLag]:
    """How late this machine itself was, at worst, during the test: `machine_lag.seconds`, to be added to bounds."""
    with MachineLag() as lag:
        yield lag


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    threads, processes = set(threading.enumerate()), set(psutil.Process().children(recursive=True))
    yield

    def left() -> list[object]:
        new_threads = [t for t in threading.enumerate() if t not in threads and t.is_alive()]
        new_processes = [p for p in psutil.Process().children(recursive=True) if p not in processes]
        return [*new_threads, *(p for p in new_processes if not _is_of_shared_browser(p, processes))]

    try:
        waiting.until(lambda: not left(), 3, "threads and processes to end")
    except AssertionError:
        pytest.fail(f"left behind: {left()}")


def _is_of_shared_browser(process: psutil.Process, known: set[psutil.Process]) -> bool:
    """Whether a browser that was there before has started it, as it does when it likes; it takes it along at its end."""
    try:
        return process.name().startswith("chrom") and any(parent in known for parent in process.parents())
    except psutil.NoSuchProcess:
        return True
