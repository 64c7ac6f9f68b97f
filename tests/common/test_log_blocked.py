"""The log beside a reader that stands still or has gone: no call waits, what is lost is counted, the end comes."""

from __future__ import annotations

import fcntl
import logging
import os
import re
import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
import waiting
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from observatory_common import log

NAME = "focusd@test"
LINES = 5000  # more than the log keeps
STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


class Pipe:
    """A pipe that takes what the log writes, and is read only when the test says so."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        os.set_blocking(self.reading, False)
        self.text = ""

    def fill(self) -> None:
        """Leave no room in it, with a line that is not the log's."""
        os.set_blocking(self.writing, False)
        with suppress(BlockingIOError):
            os.write(self.writing, b"-" * (fcntl.fcntl(self.writing, fcntl.F_GETPIPE_SZ) - 1) + b"\n")
        os.set_blocking(self.writing, True)
        assert not select.select([], [self.writing], [], 0)[1]

    def read(self) -> str:
        """All that has come so far, without what `fill` wrote."""
        with suppress(BlockingIOError):
            while data := os.read(self.reading, 1 << 16):
                self.text += data.decode()
        return re.sub(r"^-+\n", "", self.text)

    def until(self, condition: Callable[[str], Any], what: str) -> str:
        """What has come as soon as it fits."""
        waiting.until(lambda: condition(self.read()), 10, what)
        return self.read()

    def close(self) -> None:
        """Close both ends, and none twice."""
        for end in {self.reading, self.writing} - {-1}:
            os.close(end)
        self.reading = self.writing = -1


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """A pipe, closed in the end."""
    one = Pipe()
    yield one
    one.close()


@pytest.fixture
def set_up() -> Iterator[Callable[[Pipe], log.LogHandle]]:
    """Set up a log that is closed in the end, with the levels put back."""
    handles: list[log.LogHandle] = []
    loggers = [logging.getLogger(), logging.getLogger("Pyro5")]
    levels = [logger.level for logger in loggers]

    def one(pipe: Pipe) -> log.LogHandle:
        handles.append(log.set_up(NAME, pipe.writing))
        return handles[-1]

    yield one
    for handle in handles:
        with suppress(AttributeError):  # it was closed by the test
            handle.close()
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


SetUp = Callable[[Pipe], log.LogHandle]
LOGGER = logging.getLogger("device")


class Told:
    """A field that tells when its line is being made: the line before it has been dealt with by then."""

    def __init__(self) -> None:
        self.event = threading.Event()

    def __str__(self) -> str:
        self.event.set()
        return "told"


def test_no_call_waits_for_a_reader_that_stands_still(pipe: Pipe, set_up: SetUp, machine_lag: Any) -> None:
    pipe.fill()
    handle = set_up(pipe)
    longest_s = 0.0
    for number in range(LINES):
        began = time.monotonic()
        LOGGER.warning("line %d", number)
        longest_s = max(longest_s, time.monotonic() - began)
    assert longest_s < 0.2 + machine_lag.seconds
    began = time.monotonic()
    handle.close()
    assert time.monotonic() - began < 1 + machine_lag.seconds


def test_the_end_comes_however_soon_after_the_reader_stood_still(pipe: Pipe, set_up: SetUp) -> None:
    """The queue is full and the log's thread has only just begun to wait for the reader."""
    handle = set_up(pipe)
    pipe.fill()
    before = threading.active_count()
    for number in range(LINES // 2):
        LOGGER.warning("line %d", number)
    handle.close()
    assert threading.active_count() == before - 1


def test_many_threads_wait_no_more_than_one(pipe: Pipe, set_up: SetUp) -> None:
    pipe.fill()
    set_up(pipe)
    threads = [threading.Thread(target=lambda: [LOGGER.warning("line") for _ in range(LINES // 8)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)


def test_lines_for_which_the_queue_had_no_room_are_counted(pipe: Pipe, set_up: SetUp) -> None:
    pipe.fill()
    set_up(pipe)
    for number in range(LINES):
        LOGGER.warning("line %d", number)
    pipe.until(lambda text: "line 1999\n" in text, "what the queue held")

    def told(text: str) -> bool:
        LOGGER.warning("after")
        return " lines of the log were dropped" in text and text.endswith("after\n")

    text = pipe.until(told, "the count")
    dropped = sum(map(int, re.findall(rf"{STAMP} WARNING {NAME} log: (\d+) lines of the log were dropped", text)))
    assert dropped == LINES - len(re.findall(r"device: line \d+\n", text))


def test_the_count_is_told_at_the_end_if_no_line_follows(pipe: Pipe, set_up: SetUp) -> None:
    pipe.fill()
    handle = set_up(pipe)
    for number in range(LINES):
        LOGGER.warning("line %d", number)
    pipe.until(lambda text: "line 1999\n" in text, "what the queue held")
    handle.close()
    assert " lines of the log were dropped" in pipe.read()


def test_lines_that_were_given_up_are_counted_as_well(pipe: Pipe, set_up: SetUp) -> None:
    pipe.fill()
    set_up(pipe)
    told = Told()
    LOGGER.warning("first")
    LOGGER.warning("second", extra={"fields": {"is": told}})
    assert told.event.wait(10)
    text = pipe.until(lambda text: "second is=told\n" in text, "the second line")
    assert "first" not in text  # it was waited for in vain
    LOGGER.warning("third")
    text = pipe.until(lambda text: "third\n" in text, "the third line")
    assert "1 lines of the log were dropped" in text


def test_the_lines_after_one_that_was_given_up_half_way_are_whole(pipe: Pipe, set_up: SetUp) -> None:
    pipe.fill()
    set_up(pipe)
    os.read(pipe.reading, 2 * select.PIPE_BUF)  # room for a part of the next line
    told = Told()
    LOGGER.warning("a" * 50_000)
    LOGGER.warning("second", extra={"fields": {"is": told}})
    assert told.event.wait(10)
    text = pipe.until(lambda text: "second is=told\n" in text, "the second line")
    assert re.search(rf"^{STAMP} WARNING {NAME} device: second is=told$", text, re.MULTILINE), text[-200:]


def test_a_line_longer_than_the_pipe_arrives_whole(pipe: Pipe, set_up: SetUp) -> None:
    set_up(pipe)
    LOGGER.warning("a" * 300_000)
    LOGGER.warning("next")
    text = pipe.until(lambda text: text.endswith("next\n"), "the next line")
    assert [len(line.partition("device: ")[2]) for line in text.splitlines()] == [300_000, 4]


@pytest.mark.parametrize("is_the_journal", [True, False])
def test_the_journal_gets_priorities_and_no_dates(
    is_the_journal: bool, pipe: Pipe, set_up: SetUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nobody else: a daemon's children inherit the variable, not the stream."""
    status = os.fstat(pipe.writing)
    monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino if is_the_journal else status.st_ino + 1}")
    handle = set_up(pipe)
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL):
        LOGGER.log(level, "a\nb")
    handle.close()
    lines = pipe.read().splitlines()
    heads = ["<6>INFO", "<4>WARNING", "<3>ERROR", "<2>CRITICAL"]  # no DEBUG
    if is_the_journal:
        assert lines == [rf"{head} {NAME} device: a\nb" for head in heads]
    else:
        assert len(lines) == 4
        assert all(re.match(STAMP, line) for line in lines)


class Sly:
    """A field whose text is an error."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_a_record_that_cannot_be_a_line_is_not_the_end_of_the_log(pipe: Pipe, set_up: SetUp) -> None:
    set_up(pipe)
    LOGGER.warning("sly", extra={"fields": {"a": Sly()}})
    LOGGER.warning("next")
    assert pipe.until(lambda text: text.endswith("next\n"), "the line after it")


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(message=st.text(st.characters()), value=st.text(st.characters()) | st.integers() | st.none())
def test_any_text_is_one_line(message: str, value: Any, set_up: SetUp) -> None:
    pipe = Pipe()
    try:
        handle = set_up(pipe)
        LOGGER.warning("%s", message, extra={"fields": {"value": value}})
        handle.close()
        text = pipe.read()
    finally:
        pipe.close()
    assert re.fullmatch(rf"{STAMP} WARNING {NAME} device: .* value=.+\n", text)
    assert text[:-1].isprintable()


@pytest.mark.parametrize("lines", [1, LINES], ids=["room in the queue", "none"])
def test_the_end_comes_though_a_write_does_not_return(
    lines: int, pipe: Pipe, set_up: SetUp, monkeypatch: pytest.MonkeyPatch, machine_lag: Any
) -> None:
    """As of a file on a disk that has gone."""
    monkeypatch.setattr(log, "_MACHINE_S", 0.2)
    writes, may_return = threading.Event(), threading.Event()

    def write(*_: object) -> bool:
        writes.set()
        return may_return.wait(30)

    monkeypatch.setattr(log._Output, "_write", write)
    handle = set_up(pipe)
    for number in range(lines):
        LOGGER.warning("line %d", number)
    try:
        assert writes.wait(10)
        began = time.monotonic()
        handle.close()
        assert time.monotonic() - began < 2 + machine_lag.seconds
    finally:
        may_return.set()
        waiting.until(handle._listener.queue.empty, 10, "the queue to be read")
        handle._listener.enqueue_sentinel()  # for which there may have been no room
