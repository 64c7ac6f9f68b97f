"""Jobs: what a client sees of them, how they end, and how long they are kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observatory_common import timestamps
from observatory_common.errors import DeviceLost, InvalidArgument, UnknownJob
from observatory_common.jobs import END_STATES, Job, JobTable

ENDS = sorted(END_STATES)
FIRST_KEYS = ["id", "kind", "boot_id", "started_by", "request_id", "state", "progress"]
OTHER_KEYS = ["started", "ended", "expected_end", "result", "error"]


def nothing() -> None:
    """What is asked of a job that nobody carries out."""


def start(table: JobTable, request_id: str | None = None, cancel: Callable[[], object] = nothing) -> Job:
    return table.start("move", "LocalHost", cancel=cancel, request_id=request_id)


def test_what_a_client_sees_of_a_job() -> None:
    table = JobTable("boot")
    job = table.start("move", "east", cancel=nothing, request_id="r", expected_end_s=100)
    wire = job.to_wire()
    assert sorted(wire) == sorted(FIRST_KEYS + OTHER_KEYS)
    assert [wire[key] for key in FIRST_KEYS] == ["1", "move", "boot", "east", "r", "running", 0.0]
    ahead = timestamps.from_wire(wire["expected_end"]) - timestamps.from_wire(wire["started"])
    assert 100 <= ahead.total_seconds() < 110
    job.progress(0.5, expected_end_s=1000)
    later = job.to_wire()
    assert later["expected_end"] > wire["expected_end"]
    job.progress(0.75)
    assert job.to_wire()["expected_end"] == later["expected_end"]
    assert start(table).to_wire()["expected_end"] is None


def test_a_state_that_is_no_end_changes_nothing() -> None:
    table = JobTable("boot")
    job = start(table)
    for state in ("running", "", "Succeeded"):
        with pytest.raises(ValueError, match="no end of a job"):
            job.finish(state)
    assert job.to_wire()["state"] == "running"
    assert table.running() == [job]


@pytest.mark.parametrize("state", ENDS)
def test_an_end_is_final(state: str) -> None:
    job = start(JobTable("boot"))
    job.progress(0.25)
    job.finish(state, {"position_steps": 5}, None if state == "succeeded" else DeviceLost("unplugged"))
    wire = job.to_wire()
    assert (wire["state"], wire["result"]) == (state, {"position_steps": 5})
    assert wire["progress"] == (1.0 if state == "succeeded" else 0.25)
    error = {"code": 41, "error": "DeviceLost", "message": "unplugged"}
    assert wire["error"] == (None if state == "succeeded" else error)
    assert wire["ended"] >= wire["started"]
    job.progress(0.5, expected_end_s=9)
    for other in ENDS:
        job.finish(other, "too late", DeviceLost("too late"))
    assert job.to_wire() == wire


@given(st.integers(0, 4), st.lists(st.booleans(), max_size=12), st.randoms(use_true_random=False))
def test_what_is_kept(keep: int, named: list[bool], random: Any) -> None:
    """All that run and the last that ended, in the order of their ends; a request id as long as its job."""
    table = JobTable("boot", keep=keep)
    jobs = [start(table, f"r{number}" if has_name else None) for number, has_name in enumerate(named)]
    assert [job.id for job in jobs] == [str(number + 1) for number in range(len(jobs))]
    ending = random.sample(jobs, random.randint(0, len(jobs)))
    for job in ending:
        job.finish("succeeded")
    gone = ending[: max(len(ending) - keep, 0)]
    for job in jobs:
        if job in gone:
            with pytest.raises(UnknownJob):
                table.get(job.id)
        else:
            assert table.get(job.id) is job
        if job.request_id is not None:
            assert table.with_request(job.request_id) is (None if job in gone else job)
    assert table.running() == [job for job in jobs if job not in ending]
    assert start(table).id == str(len(jobs) + 1)  # no id is given twice


@pytest.mark.parametrize("id", [1, None, "", b"1", ["1"], "x" * 1000, True])
def test_what_is_no_id(id: Any) -> None:
    table = JobTable("boot")
    start(table)
    with pytest.raises(InvalidArgument, match=r"^id is "):
        table.get(id)
    with pytest.raises(InvalidArgument, match=r"^id is "):
        table.wait(id, 0)


@pytest.mark.parametrize("id", ["0", "2", "01", " 1", "-1", "１"])
def test_an_id_is_not_interpreted(id: str) -> None:
    table = JobTable("boot")
    start(table)
    with pytest.raises(UnknownJob):
        table.get(id)
