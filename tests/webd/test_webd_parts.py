"""Parts of webd on their own: threads for blocking calls, the feed of happenings, host names, limits of logins."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest
import waiting

from observatory_common.directory import Directory
from observatory_common.errors import DaemonNotReachable
from observatory_common.events import EventRing
from observatory_common.guessing import Failures
from observatory_webd.accounts.limits import network_of
from observatory_webd.api import files
from observatory_webd.config import Shown
from observatory_webd.host_names import host_of
from observatory_webd.lanes import Busy, Lane
from observatory_webd.links.feed import Feed
from observatory_webd.links.link import Link
from observatory_webd.security.hosts import Hosts, same_origin


def test_a_lane_does_so_much_at_a_time_and_refuses_the_rest() -> None:
    lane, gate, started = Lane("test", 2, 3), threading.Event(), []

    def work() -> str:
        started.append(1)
        gate.wait(20)
        return "done"

    futures = [lane.submit(work) for _ in range(5)]
    with pytest.raises(Busy, match="5 calls"):
        lane.submit(work)
    waiting.until(lambda: len(started) == 2, 10, "two threads")
    assert not futures[2].running()
    gate.set()
    assert [future.result(10) for future in futures] == ["done"] * 5
    with pytest.raises(ZeroDivisionError):
        lane.submit(lambda: 1 // 0).result(10)
    assert lane.submit(lambda: 7).result(10) == 7
    lane.close()
    assert lane.join(time.monotonic() + 10)
    with pytest.raises(DaemonNotReachable):
        lane.submit(work)


def test_what_waits_in_a_lane_that_is_closed_is_not_done() -> None:
    lane, gate, done = Lane("test", 1, 5), threading.Event(), []
    first = lane.submit(lambda: gate.wait(20))
    waiting.until(first.running, 10, "the first")
    second = lane.submit(lambda: done.append(1))
    lane.close()
    gate.set()
    assert first.result(10) and lane.join(time.monotonic() + 10)
    assert second.cancelled() and not done


def test_threads_of_a_lane_end_without_work_and_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("observatory_webd.lanes._IDLE_S", 0.01)
    lane = Lane("test", 3, 10)

    def working() -> bool:
        return any(thread.name.startswith("webd-test-") for thread in threading.enumerate())

    for n in range(200):
        assert lane.submit(lambda n=n: n).result(10) == n
        if n % 20 == 0:
            waiting.until(lambda: not working(), 10, "the threads' end")
    lane.close()
    assert lane.join(time.monotonic() + 10)


def test_the_feed_tells_each_listener_what_it_missed() -> None:
    feed = Feed()
    for n in range(3):
        feed.publish("camera/a", "status", {"n": n})
        feed.publish("camera/b", "moved", {"n": n})
    after, lost, found = feed.after(0)
    assert (after, lost) == (6, 0)
    assert [(item.source, item.data["n"]) for item in found] == [
        ("camera/b", 0), ("camera/b", 1), ("camera/a", 2), ("camera/b", 2),
    ]  # fmt: skip
    assert feed.after(6) == (6, 0, []) and feed.after(99) == (6, 0, []) and feed.after(-5)[1] == 0
    for n in range(3000):
        feed.publish("camera/b", "moved", {"n": n})
    after, lost, found = feed.after(6)
    assert lost == 3000 - 2048 and found[0].data["n"] == lost and len(found) == 256 and after == found[-1].number


def test_the_feed_wakes_its_listeners_from_any_thread() -> None:
    feed = Feed()

    async def listen() -> int:
        feed.attach(asyncio.get_running_loop())
        with feed.listening() as news:
            thread = threading.Thread(target=lambda: feed.publish("gpio/a", "changed", {}))
            thread.start()
            async with asyncio.timeout(10):
                await news.wait()
            thread.join(10)
            news.clear()
            feed.close()
            async with asyncio.timeout(10):
                await news.wait()
            assert feed.closed
            return feed.listeners

    assert asyncio.run(listen()) == 1
    assert feed.listeners == 0
    feed.publish("gpio/a", "changed", {})  # the loop is gone; nobody minds


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("web.example", "web.example"),
        ("Web.Example:5000", "web.example"),
        ("web.example.", "web.example"),
        ("[::1]:5000", "::1"),
        ("[::1]", "::1"),
        ("10.2.6.20:80", "10.2.6.20"),
        (None, None),
        ("", None),
        (":5000", None),
        ("a b", None),
        ("web.example:", None),
        ("web.example:5000:1", None),
        ("web.example:x", None),
        ("evil@web.example", None),
        ("[web.example]", None),
        ("[::1", None),
        ("[::1]x", None),
        ("web.example/x", None),
        ("é.example", None),
        ("x" * 400, None),
    ],
)
def test_the_name_in_a_host_header(header: str | None, name: str | None) -> None:
    assert host_of(header) == name


def test_our_names() -> None:
    hosts = Hosts(["web.example"])
    for header in ("localhost", "localhost:5000", "web.example:1", "10.0.0.5:5000"):
        assert hosts.allows(header, "10.0.0.5"), header
    for header in ("10.0.0.6", "evil.example", "web.example.evil.example", "sub.web.example", None):
        assert not hosts.allows(header, "10.0.0.5"), header
    assert hosts.allows("[::1]:5000", "::1") and hosts.allows("10.0.0.5", "::ffff:10.0.0.5")
    assert not hosts.allows("10.0.0.5", None)


def test_the_same_origin() -> None:
    assert same_origin("http://web:5000", "http", "web:5000") and same_origin("https://web", "https", "web:443")
    assert same_origin("http://WEB", "ws", "web:80") and same_origin("http://[::1]", "http", "[::1]:80")
    for origin in ("http://web", "https://web:5000", "http://web:5001", "null", "", "web:5000", "http://evil"):
        assert not same_origin(origin, "http", "web:5000"), origin


def test_failures_are_forgotten_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("observatory_common.guessing.time.monotonic", lambda: now)
    failures = Failures(2, 60)
    for _ in range(2):
        assert failures.wait_s("a") == 0
        failures.note("a")
        now += 10
    assert failures.wait_s("a") == 40 and failures.wait_s("b") == 0
    now += 41
    assert failures.wait_s("a") == 0
    failures.note("a")
    assert failures.wait_s("a") == 9 and failures.recent("a") == 2 and failures.recent("nobody") == 0
    for n in range(5000):
        failures.note(str(n))
    assert len(failures._failed) <= 4096


def test_who_counts_as_one_address() -> None:
    assert network_of("192.0.2.1") == "192.0.2.1"
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:1") == "2001:db8::/64"
    assert network_of("2001:db8:0:1::1") != network_of("2001:db8::1")


class Daemon:
    """In the place of a client of a daemon: its events, and what it answers to everything else."""

    def __init__(self, answer: Any = None) -> None:
        self.events_ring = EventRing("boot")
        self.events = self.events_ring.read
        self.hello = {"rights": ["gateway"]}
        self._answer = answer

    def report_status(self) -> dict[str, Any]:
        """None worth telling."""
        return {}

    def invoke(self, *_: Any, **__: Any) -> Any:
        """The answer."""
        return self._answer

    def close(self) -> None:
        """Nothing is open."""
        self.events_ring.close()


@contextmanager
def linked(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Link, Feed]]:
    """The gateway's end of a daemon, and where it tells of it."""
    monkeypatch.setattr(Link, "connect", lambda self: cast("Any", daemon))
    feed = Feed()
    link = Link(Shown("camera", "cam", "cam", "cam"), Directory({}, {}), None, feed)
    link.start()
    try:
        yield link, feed
    finally:
        link.close()
        assert link.join(time.monotonic() + 10)


@pytest.mark.parametrize("count", [0, 3, 256, 1000])
def test_what_was_before_a_daemon_is_met_is_old_news(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = Daemon()
    for n in range(count):
        daemon.events_ring.publish("cam", "old", {"n": n})
    with linked(daemon, monkeypatch) as (link, feed):
        waiting.until(lambda: link.seen.reachable, 10, "it to be met")

        def told() -> list[str]:
            daemon.events_ring.publish("cam", "new", {})
            return [item.name for item in feed.after(0)[2] if item.name != "status"]

        assert set(waiting.until(told, 10, "news")) == {"new"}


class Waiting(dict[str, Any]):
    """A file that is looked at once the loop has gone on."""

    gone_on = threading.Event()

    def __getitem__(self, key: str) -> Any:
        """What is known of it."""
        assert self.gone_on.wait(10), "the loop is held up"
        return super().__getitem__(key)


@pytest.mark.parametrize(
    "ask",
    [
        lambda: files.days("cam", cast("Any", None), cast("Any", None)),
        lambda: files.files("cam", cast("Any", None), cast("Any", None), None, 0, 10),
    ],
)
def test_a_list_of_files_is_made_beside_the_loop(ask: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    Waiting.gone_on.clear()
    daemon = Daemon([Waiting(name="a.jpg", size=1, modified_s=0.0)])

    async def main() -> Any:
        asked = asyncio.ensure_future(ask())
        await asyncio.sleep(0)  # it has begun
        asyncio.get_running_loop().call_later(0.1, Waiting.gone_on.set)
        return await asked

    with linked(daemon, monkeypatch) as (link, _):
        monkeypatch.setattr(files, "_link", lambda *_: link)
        assert asyncio.run(main())
