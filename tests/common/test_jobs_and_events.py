"""Jobs and events, from many threads."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from observatory_common.errors import Blocked, InvalidArgument, Stopped, UnknownJob
from observatory_common.events import EventRing
from observatory_common.jobs import JobTable


def nothing() -> None:
    """A job that cannot be cancelled."""


def test_a_job_from_start_to_end() -> None:
    ended: list[dict] = []
    table = JobTable("boot", on_end=ended.append)
    job = table.start("move", "LocalHost", cancel=nothing, request_id="r", expected_end_s=60)
    wire = job.to_wire()
    assert (wire["state"], wire["progress"], wire["result"], wire["error"], wire["ended"]) == ("running", 0.0, None, None, None)
    assert wire["expected_end"] > wire["started"]
    for fraction, shown in ((0.25, 0.25), (-1, 0.0), (7, 1.0)):
        job.progress(fraction)
        assert job.to_wire()["progress"] == shown
    job.finish("stopped", {"position_steps": 5}, Stopped("stopped by somebody"))
    job.finish("succeeded")  # too late
    job.progress(0.1)
    wire = table.get(job.id).to_wire()
    assert (wire["state"], wire["progress"]) == ("stopped", 1.0)
    assert wire["error"] == {"code": 9, "error": "Stopped", "message": "stopped by somebody"}
    assert [end["state"] for end in ended] == ["stopped"]
    with pytest.raises(ValueError, match="no end"):
        job.finish("finished")


def test_only_the_first_end_of_many_counts() -> None:
    table = JobTable("boot")
    for _ in range(50):
        job = table.start("move", "x", cancel=nothing)
        gate = threading.Barrier(4)

        def end(state: str, job=job, gate=gate) -> None:
            gate.wait(5)
            job.finish(state, state)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(end, ["succeeded", "failed", "stopped", "timed_out"]))
        wire = job.to_wire()
        assert wire["result"] == wire["state"]


def test_waiting_ends_with_the_job_with_its_time_or_with_the_daemon(machine_lag) -> None:
    table = JobTable("boot")
    quick, slow = table.start("a", "x", cancel=nothing), table.start("b", "x", cancel=nothing)
    with ThreadPoolExecutor(8) as pool:
        waiters = [pool.submit(table.wait, quick.id, 10) for _ in range(4)]
        quick.finish("succeeded", 1)
        assert [waiter.result(5)["result"] for waiter in waiters] == [1] * 4
        began = time.monotonic()
        assert table.wait(slow.id, 0.2)["state"] == "running"
        assert 0.19 < time.monotonic() - began < 1 + machine_lag.seconds
        waiters = [pool.submit(table.wait, slow.id, 10) for _ in range(4)]
        table.close()
        assert [waiter.result(5)["state"] for waiter in waiters] == ["running"] * 4
        assert table.wait(slow.id, 10)["state"] == "running"  # at once
    for bad in (-1, 11, float("nan"), True, "1", None):
        with pytest.raises(InvalidArgument, match="up_to_s"):
            table.wait(slow.id, bad)


def test_the_last_ones_are_kept_and_those_that_run() -> None:
    table = JobTable("boot", keep=3)
    runs = table.start("long", "x", cancel=nothing)
    ids = []
    for number in range(6):
        job = table.start("short", "x", cancel=nothing, request_id=f"r{number}")
        job.finish("succeeded")
        ids.append(job.id)
    assert table.get(runs.id).state == "running"
    for gone in ids[:3]:
        with pytest.raises(UnknownJob, match="last 3"):
            table.get(gone)
    assert [table.get(id).state for id in ids[3:]] == ["succeeded"] * 3
    assert table.with_request("r0") is None
    assert table.with_request("r5").id == ids[5]
    with pytest.raises(ValueError, match="r5"):
        table.start("short", "x", cancel=nothing, request_id="r5")


def test_cancelling_asks_only_while_it_runs() -> None:
    asked: list[int] = []
    table = JobTable("boot")
    job = table.start("move", "x", cancel=lambda: asked.append(1))
    job.cancel()
    job.finish("stopped", error=Blocked("x"))
    job.cancel()
    assert asked == [1]


def test_events_are_numbered_and_read_in_order() -> None:
    ring = EventRing("boot")
    assert ring.read(None, 0, 10) == {"boot_id": "boot", "next": 0, "lost": 0, "events": []}
    for number in range(3):
        ring.publish("focusd", "move_started", {"n": number})
    answer = ring.read("boot", 0, 0)
    assert [(e["seq"], e["source"], e["name"], e["data"]) for e in answer["events"]] == [
        (n + 1, "focusd", "move_started", {"n": n}) for n in range(3)
    ]
    assert ring.read("boot", answer["next"], 0)["events"] == []
    assert [e["seq"] for e in ring.read("boot", 2, 0)["events"]] == [3]


def test_a_slow_reader_is_told_how_many_it_lost() -> None:
    ring = EventRing("boot", capacity=10)
    for number in range(25):
        ring.publish("x", "e", {"n": number})
    answer = ring.read("boot", 5, 0)
    assert (answer["lost"], [e["seq"] for e in answer["events"]]) == (10, list(range(16, 26)))


def test_another_run_is_answered_at_once_from_the_oldest(machine_lag) -> None:
    ring = EventRing("second", capacity=10)
    ring.publish("x", "e", {})
    began = time.monotonic()
    for boot_id, after in (("first", 900), (None, 0), ("first", 0)):
        assert [e["seq"] for e in ring.read(boot_id, after, 10)["events"]] == [1]
    assert time.monotonic() - began < 1 + machine_lag.seconds


def test_readers_wait_until_something_happens_or_the_end() -> None:
    ring = EventRing("boot")
    with ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(ring.read, "boot", 0, 10) for _ in range(4)]
        ring.publish("x", "e", {})
        assert [reader.result(5)["next"] for reader in readers] == [1] * 4
        readers = [pool.submit(ring.read, "boot", 1, 10) for _ in range(4)]
        ring.close()
        assert [reader.result(5)["events"] for reader in readers] == [[]] * 4
    for after, timeout in ((-1, 0), (5, 0), (True, 0), (0, 11), (0, -1), (0, "1")):
        with pytest.raises(InvalidArgument):
            ring.read("boot", after, timeout)


def test_many_writers_lose_and_double_nothing() -> None:
    ring = EventRing("boot", capacity=100_000)

    def publish(writer: int) -> None:
        for number in range(200):
            ring.publish("x", "e", {"writer": writer, "n": number})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(publish, range(8)))
    seen, after = [], 0
    while True:
        answer = ring.read("boot", after, 0)
        if not answer["events"]:
            break
        seen += answer["events"]
        after = answer["next"]
    assert [e["seq"] for e in seen] == list(range(1, 1601))
    for writer in range(8):
        assert [e["data"]["n"] for e in seen if e["data"]["writer"] == writer] == list(range(200))
