"""Jobs under many threads: one end each, told before it is seen, and no waiter left."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import waiting

from observatory_common.errors import UnknownJob
from observatory_common.jobs import END_STATES, Job, JobTable

Wire = dict[str, Any]
ENDS = sorted(END_STATES)


def nothing() -> None:
    """What is asked of a job that nobody carries out."""


def start(table: JobTable, request_id: str | None = None, cancel: Callable[[], object] = nothing) -> Job:
    return table.start("move", "LocalHost", cancel=cancel, request_id=request_id)


def all_at_once(calls: list[Callable[[], Any]]) -> list[Any]:
    """The results of calls by as many threads, which begin together."""
    barrier = threading.Barrier(len(calls))

    def call(one: Callable[[], Any]) -> Any:
        barrier.wait(10)
        return one()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(call, calls, timeout=20))


def until_they_wait(table: JobTable, count: int) -> None:
    """Until this many callers sleep in `wait`: the standard library tells it nowhere but there."""
    waiting.until(lambda: len(table.changed._waiters) == count, 10, f"{count} callers that wait")


def test_of_many_ends_at_once_the_first_wins_and_is_told_once() -> None:
    told: list[Wire] = []
    table = JobTable("boot", on_end=told.append)
    for _ in range(30):
        job = start(table)
        all_at_once([lambda state=state, job=job: job.finish(state, state) for state in ENDS * 2])
        wire = job.to_wire()
        assert wire["result"] == wire["state"]
        assert table.wait(job.id, 0) == wire
        assert told.pop() == wire
        assert told == []


def test_an_end_is_told_before_a_waiter_sees_it() -> None:
    """So that its event is on the ring, and its position in the journal, when a client acts on the job's end."""
    told, go = threading.Event(), threading.Event()
    order: list[str] = []

    def on_end(wire: Wire) -> None:
        told.set()
        assert go.wait(10)
        order.append("told " + wire["state"])

    table = JobTable("boot", on_end=on_end)
    job, other = start(table), start(table)
    with ThreadPoolExecutor(4) as pool:
        waiter = pool.submit(table.wait, job.id, 10)
        waiter.add_done_callback(lambda _: order.append("seen"))
        until_they_wait(table, 1)
        ending = pool.submit(job.finish, "succeeded")
        assert told.wait(10)
        assert table.running() == [other]  # and nothing is locked meanwhile
        other.progress(0.5)
        assert not pool.submit(start, table).result(10).to_wire()["ended"]
        late = pool.submit(table.wait, job.id, 10)
        until_they_wait(table, 2)  # neither the early waiter nor a late one has it yet
        go.set()
        assert late.result(10)["state"] == "succeeded"
        assert waiter.result(10)["state"] == "succeeded"
        ending.result(10)
    assert order == ["told succeeded", "seen"]


def test_waiters_are_woken_although_the_telling_fails() -> None:
    def on_end(wire: Wire) -> None:
        raise OSError("no space left")

    table = JobTable("boot", on_end=on_end)
    job = start(table)
    with ThreadPoolExecutor(1) as pool:
        waiter = pool.submit(table.wait, job.id, 10)
        until_they_wait(table, 1)
        with pytest.raises(OSError, match="no space"):
            job.finish("failed")
        assert waiter.result(5)["state"] == "failed"


def test_waiting_takes_its_time_and_no_more(machine_lag: Any) -> None:
    table = JobTable("boot")
    job = start(table)
    for up_to_s in (0, 0.3):
        began = time.monotonic()
        assert table.wait(job.id, up_to_s)["state"] == "running"
        assert up_to_s <= time.monotonic() - began < up_to_s + 1 + machine_lag.seconds
    job.finish("stopped")
    began = time.monotonic()
    assert table.wait(job.id, 10)["state"] == "stopped"
    assert time.monotonic() - began < 1 + machine_lag.seconds


def test_progress_and_the_ends_of_others_wake_nobody_for_good() -> None:
    table = JobTable("boot")
    job = start(table)
    with ThreadPoolExecutor(1) as pool:
        waiter = pool.submit(table.wait, job.id, 10)
        until_they_wait(table, 1)
        for number in range(50):
            job.progress(number / 50)
            start(table).finish("succeeded")
        assert not waiter.done()
        job.finish("stopped")
        assert waiter.result(5)["state"] == "stopped"


def test_closing_ends_all_waits_and_those_to_come(machine_lag: Any) -> None:
    table = JobTable("boot")
    jobs = [start(table) for _ in range(4)]
    with ThreadPoolExecutor(8) as pool:
        began = time.monotonic()
        waiters = [pool.submit(table.wait, job.id, 10) for job in jobs * 2]
        until_they_wait(table, 8)
        table.close()
        assert {waiter.result(5)["state"] for waiter in waiters} == {"running"}
        assert table.wait(jobs[0].id, 10)["state"] == "running"
        assert time.monotonic() - began < 3 + machine_lag.seconds
    jobs[0].finish("stopped")  # as a daemon does that ends
    assert table.wait(jobs[0].id, 10)["state"] == "stopped"


def test_a_waiter_whose_job_is_evicted_is_told_its_end() -> None:
    for keep in (0, 1):
        table = JobTable("boot", keep=keep)
        job = start(table)
        with ThreadPoolExecutor(1) as pool:
            waiter = pool.submit(table.wait, job.id, 10)
            until_they_wait(table, 1)
            job.finish("succeeded", 7)
            start(table).finish("failed")
            assert waiter.result(5)["result"] == 7
        with pytest.raises(UnknownJob, match=rf"run \(boot\), of which the last {keep} are kept"):
            table.wait(job.id, 0)


def test_of_many_starts_of_one_request_one_succeeds() -> None:
    table = JobTable("boot")

    def attempt() -> Job | ValueError:
        try:
            return start(table, "same")
        except ValueError as error:
            return error

    for _ in range(20):
        outcomes = all_at_once([attempt] * 6)
        (job,) = (outcome for outcome in outcomes if isinstance(outcome, Job))
        assert all(f"has job {job.id} already" in str(other) for other in outcomes if other is not job)
        assert table.with_request("same") is job
        assert table.running() == [job]
        job.finish("succeeded")
        with pytest.raises(ValueError, match="same"):
            start(table, "same")  # ended, but kept
        table = JobTable("boot")


def test_of_many_threads_each_gets_jobs_of_its_own() -> None:
    ends: list[Wire] = []
    table = JobTable("boot", keep=10_000, on_end=ends.append)

    def work(worker: int) -> list[str]:
        ids = []
        for number in range(50):
            job = start(table, f"{worker}-{number}")
            job.progress(0.5)
            job.finish(ENDS[number % len(ENDS)], job.id)
            ids.append(job.id)
        return ids

    ids = list(itertools.chain(*all_at_once([lambda worker=worker: work(worker) for worker in range(8)])))
    assert sorted(map(int, ids)) == list(range(1, 401))
    assert Counter(end["id"] for end in ends) == Counter(ids)
    assert all(table.wait(id, 10)["result"] == id for id in ids)
    assert table.running() == []


def test_a_cancel_may_end_the_job_itself_and_asks_no_job_that_has_ended() -> None:
    table = JobTable("boot")
    asked: list[str] = []
    jobs: list[Job] = []
    jobs.append(start(table, cancel=lambda: (asked.append("x"), jobs[0].finish("stopped"))))
    with ThreadPoolExecutor(1) as pool:
        waiter = pool.submit(table.wait, jobs[0].id, 10)
        until_they_wait(table, 1)
        jobs[0].cancel()
        jobs[0].cancel()
        assert waiter.result(5)["state"] == "stopped"
    assert asked == ["x"]
    assert table.running() == []
