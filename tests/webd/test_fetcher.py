"""Who fetches a stream, while somebody looks."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import waiting

from observatory_common.directory import DaemonEntry
from observatory_common.rpc.client import RemoteDaemon
from observatory_webd.streams.fetcher import Fetched, Fetcher
from observatory_webd.streams.items import Format, Item
from observatory_webd.streams.sources import Source


class Held(Source):
    """A source whose fetches wait until they are let go."""

    def __init__(self, made: list[Held], goes_on: threading.Event) -> None:
        super().__init__("live")
        self.asked = threading.Event()
        self._goes_on = goes_on
        made.append(self)

    def _fetch(self, camera: RemoteDaemon) -> list[Item]:
        self.asked.set()
        assert self._goes_on.wait(10)
        return [Item(1, 0, True, b"", Format("jpeg"))]


@pytest.fixture
def goes_on() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_who_looks_again_while_the_last_fetch_is_held_is_not_told_of_new_pictures_alone(goes_on: threading.Event) -> None:
    """What came before was forgotten when the last one left."""
    made: list[Held] = []

    def deliver(fetched: Fetched) -> None:
        fetched.taken()

    fetcher = Fetcher(
        "cam-live",
        RemoteDaemon(DaemonEntry("cam", "cam", "LocalHost", "127.0.0.1", 1), 1.0, None),
        lambda: Held(made, goes_on),
        deliver,
    )
    fetcher.want()
    waiting.until(lambda: any(source.asked.is_set() for source in made), 5, "the first fetch")
    first = made[-1]
    fetcher.done()
    fetcher.want()
    goes_on.set()
    try:
        waiting.until(lambda: made[-1] is not first and made[-1].asked.is_set(), 5, "a new source")
    finally:
        fetcher.done()
        assert fetcher.join(5)
