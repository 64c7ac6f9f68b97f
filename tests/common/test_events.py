"""The ring of events: nothing is lost untold, nothing comes twice, and nobody who reads slowly holds anybody up."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import waiting
from hypothesis import given
from hypothesis import strategies as st

from observatory_common import timestamps
from observatory_common.errors import InvalidArgument
from observatory_common.events import EventRing

MOST = 256  # events in one answer


def ring_of(count: int, capacity: int = 1024, boot_id: str = "boot") -> EventRing:
    """A ring after this many events."""
    ring = EventRing(boot_id, capacity)
    publish(ring, count)
    return ring


def publish(ring: EventRing, count: int) -> None:
    for number in range(count):
        ring.publish("focusd", "position", {"n": number})


def numbers(answer: dict[str, Any]) -> list[int]:
    return [event["seq"] for event in answer["events"]]


def until_they_wait(ring: EventRing, count: int) -> None:
    """Until this many readers sleep in `read`: the standard library tells it nowhere but there."""
    waiting.until(lambda: len(ring._changed._waiters) == count, 10, f"{count} readers that wait")


def test_an_event_as_it_was_published() -> None:
    ring = EventRing("boot")
    data = {"channel": 1, "position_steps": -5}
    before = timestamps.utc_now()
    ring.publish("focusd", "move_ended", data)
    (event,) = ring.read("boot", 0, 0)["events"]
    assert before <= event.pop("date") <= timestamps.utc_now()
    assert event == {"seq": 1, "source": "focusd", "name": "move_ended", "data": data}


@given(st.integers(1, 20), st.integers(0, 60), st.data())
def test_what_is_lost_is_counted(capacity: int, count: int, data: st.DataObject) -> None:
    """From any place: what is lost and what is answered together are all the events after it."""
    ring = ring_of(count, capacity)
    after = data.draw(st.integers(0, count))
    answer = ring.read("boot", after, 0)
    oldest = max(count - capacity, 0) + 1
    assert numbers(answer) == list(range(max(after + 1, oldest), count + 1))
    assert answer["lost"] == max(oldest - after - 1, 0)
    assert answer["lost"] + len(answer["events"]) == count - after
    assert answer["next"] == count
    assert answer["boot_id"] == "boot"


@pytest.mark.parametrize("count", [0, 1, MOST - 1, MOST, MOST + 1, 3 * MOST + 7])
def test_an_answer_has_a_size_and_the_next_one_the_rest(count: int) -> None:
    ring = ring_of(count)
    answers = [ring.read("boot", 0, 0)]
    while answers[-1]["events"]:
        answers.append(ring.read("boot", answers[-1]["next"], 0))
    assert [seq for answer in answers for seq in numbers(answer)] == list(range(1, count + 1))
    assert max(len(answer["events"]) for answer in answers) == min(count, MOST)
    assert all(answer["lost"] == 0 for answer in answers)
    assert len(answers) == -(-count // MOST) + 1


@pytest.mark.parametrize("after", [0, 3, 900, 2**63])
@pytest.mark.parametrize("other", ["last run", None])
def test_a_reader_of_another_run_begins_anew(other: str | None, after: int, machine_lag: Any) -> None:
    began = time.monotonic()
    answer = ring_of(25, capacity=10).read(other, after, 10)
    assert (answer["boot_id"], answer["next"], answer["lost"]) == ("boot", 25, 15)
    assert numbers(answer) == list(range(16, 26))
    empty = EventRing("boot").read(other, after, 10)
    assert empty == {"boot_id": "boot", "next": 0, "lost": 0, "events": []}
    assert time.monotonic() - began < 1 + machine_lag.seconds  # neither waited


def test_after_another_run_a_reader_can_go_on_with_the_answer() -> None:
    ring = ring_of(3)
    answer = ring.read("last run", 900, 10)
    publish(ring, 2)
    assert numbers(ring.read(answer["boot_id"], answer["next"], 0)) == [4, 5]


def test_nothing_new_is_answered_after_the_time_and_not_before(machine_lag: Any) -> None:
    ring = ring_of(5)
    for timeout_s in (0, 0.3):
        began = time.monotonic()
        answer = ring.read("boot", 5, timeout_s)
        assert timeout_s <= time.monotonic() - began < timeout_s + 1 + machine_lag.seconds
        assert answer == {"boot_id": "boot", "next": 5, "lost": 0, "events": []}


def test_a_waiting_reader_gets_the_event_when_it_comes() -> None:
    ring = ring_of(5)
    with ThreadPoolExecutor(8) as pool:
        for seq in range(6, 26):
            readers = [pool.submit(ring.read, "boot", seq - 1, 10) for _ in range(8)]
            until_they_wait(ring, 8)
            publish(ring, 1)
            assert [numbers(reader.result(5)) for reader in readers] == [[seq]] * 8


def test_closing_ends_all_waits_and_those_to_come_and_loses_nothing(machine_lag: Any) -> None:
    ring = ring_of(2)
    began = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(ring.read, "boot", 2, 10) for _ in range(4)]
        until_they_wait(ring, 4)
        ring.close()
        assert [reader.result(5)["events"] for reader in readers] == [[]] * 4
    assert ring.read("boot", 2, 10)["events"] == []
    publish(ring, 1)  # the daemon's own end
    assert numbers(ring.read("boot", 2, 10)) == [3]
    assert time.monotonic() - began < 3 + machine_lag.seconds


def test_a_slow_reader_is_told_its_losses_and_holds_nobody_up(machine_lag: Any) -> None:
    """One reads all the time, the other once in a while; the writer waits for neither."""
    ring = EventRing("boot", capacity=50)
    step, stepped = threading.Semaphore(0), threading.Semaphore(0)
    seen: dict[str, list[dict[str, Any]]] = {"keen": [], "slow": []}

    def keen() -> None:
        after = 0
        while after < 1000:
            seen["keen"].append(ring.read("boot", after, 10))
            after = seen["keen"][-1]["next"]

    def slow() -> None:
        after = 0
        while after < 1000:
            assert step.acquire(timeout=10)
            seen["slow"].append(ring.read("boot", after, 10))
            after = seen["slow"][-1]["next"]
            stepped.release()

    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(keen), pool.submit(slow)]
        longest_s = 0.0
        for _ in range(10):
            began = time.monotonic()
            publish(ring, 100)
            longest_s = max(longest_s, time.monotonic() - began)
            step.release()
            assert stepped.acquire(timeout=10)
        assert [reader.result(20) for reader in readers] == [None, None]
    assert longest_s < 0.5 + machine_lag.seconds
    for answers in seen.values():
        got = [seq for answer in answers for seq in numbers(answer)]
        assert got == sorted(set(got))
        assert len(got) + sum(answer["lost"] for answer in answers) == 1000
    assert [answer["lost"] for answer in seen["slow"]] == [50] * 10


def test_the_numbers_are_in_the_order_of_publishing_from_any_thread() -> None:
    ring = EventRing("boot", capacity=10_000)
    start = threading.Barrier(8)

    def write(writer: int) -> None:
        start.wait(10)
        for number in range(100):
            ring.publish(str(writer), "e", {"n": number})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8), timeout=20))
    events, after = [], 0
    while answer := ring.read("boot", after, 0)["events"]:
        events += answer
        after = answer[-1]["seq"]
    assert [event["seq"] for event in events] == list(range(1, 801))
    assert [event["date"] for event in events] == sorted(event["date"] for event in events)
    for writer in range(8):
        assert [event["data"]["n"] for event in events if event["source"] == str(writer)] == list(range(100))


@pytest.mark.parametrize("after", [-1, 4, 2**63, 1.0, "1", None, True, [1]])
def test_no_place_in_this_run(after: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"^after is .*, expected a whole number from 0 to 3$"):
        ring_of(3).read("boot", after, 0)


@pytest.mark.parametrize("after", [-1, 2**63 + 1, 1.0, "1", None, True, [1]])
@pytest.mark.parametrize("other", ["last run", None])
def test_no_place_in_any_run(other: str | None, after: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"^after is "):
        ring_of(3).read(other, after, 0)


@pytest.mark.parametrize("timeout_s", [-0.1, 10.1, float("nan"), float("inf"), "1", None, True])
@pytest.mark.parametrize("boot_id", ["boot", "last run"])
def test_no_time_to_wait(boot_id: str, timeout_s: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"^timeout_s is "):
        ring_of(3).read(boot_id, 0, timeout_s)


@pytest.mark.parametrize("boot_id", ["", 5, b"boot", ["boot"], "x" * 1000, True])
def test_no_boot_id(boot_id: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"^boot_id is "):
        ring_of(3).read(boot_id, 0, 0)
