"""The serial line over a real pseudo-terminal: deadlines, late and half replies, a stalled and a vanished port."""

from __future__ import annotations

import os
import threading
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from observatory_common.errors import DeviceLost
from observatory_focusd import protocol
from observatory_focusd.controller import Controller
from observatory_focusd.link import Opener, Overtaken, SerialLink, Silence, never

STATUS = b"T1=+000010,C1=%+07d,T2=+000000,C2=+000000\r\n"


class FarEnd:
    """The other end of the line: answers each command as a test says."""

    def __init__(self) -> None:
        self.master, slave = os.openpty()
        tty.setraw(slave)
        self.name = os.ttyname(slave)
        os.close(slave)
        self.received: list[bytes] = []
        self._thread: threading.Thread | None = None

    def answer(self, replies: Callable[[bytes], list[bytes | float]]) -> None:
        """Answer every line with pieces of bytes; a number among them is a pause in seconds."""
        self._thread = threading.Thread(target=self._serve, args=(replies,))
        self._thread.start()

    def _serve(self, replies: Callable[[bytes], list[bytes | float]]) -> None:
        pending = b""
        pause = threading.Event()
        while True:
            try:
                pending += os.read(self.master, 4096)
            except OSError:  # the port was closed: the end of the test
                return
            while b"\n" in pending:
                line, pending = pending.split(b"\n", 1)
                self.received.append(line)
                for piece in replies(line):
                    if isinstance(piece, float):
                        pause.wait(piece)
                    else:
                        os.write(self.master, piece)

    def close(self) -> None:
        if self._thread is not None:
            self._thread.join(5)
        os.close(self.master)


@contextmanager
def line(replies: Callable[[bytes], list[bytes | float]] | None = None) -> Iterator[tuple[SerialLink, FarEnd]]:
    far = FarEnd()
    link = Opener(far.name, 9600, lambda: None).wait(2)
    assert link is not None
    if replies is not None:
        far.answer(replies)
    try:
        yield link, far
    finally:
        link.close()
        far.close()


def query(link: SerialLink, timeout_s: float = 0.5, interrupted: Callable[[], bool] = never) -> int:
    return link.exchange(protocol.QUERY, protocol.parse_status, timeout_s, interrupted)[0].current_steps


def test_a_reply_in_pieces_is_put_together() -> None:
    with line(lambda _: [(STATUS % 7)[:9], 0.06, (STATUS % 7)[9:]]) as (link, _):
        assert query(link) == 7


def test_silence_ends_with_the_time_of_the_exchange() -> None:
    with line() as (link, _):
        started = time.monotonic()
        with pytest.raises(Silence):
            query(link, 0.2)
        assert time.monotonic() - started < 2.0


def test_half_a_reply_is_no_reply() -> None:
    with line(lambda _: [(STATUS % 7)[:-4]]) as (link, _), pytest.raises(Silence):
        query(link, 0.2)


def test_eight_kilobytes_without_a_line_end_are_bounded_and_no_reply() -> None:
    with line(lambda _: [b"X" * 8192, b"\r\n", STATUS % 3]) as (link, _):
        assert query(link, 1.0) == 3


def test_noise_before_the_reply_is_ignored() -> None:
    with line(lambda _: [b"\x00\xff~\r\n$\r\n", STATUS % 4]) as (link, _):
        assert query(link) == 4


def test_a_late_reply_is_not_taken_for_the_next_one() -> None:
    """F12: the reply of a query that was given up arrives during the next one."""
    steps = iter(range(1, 10))
    delays = iter([0.35, 0.0, 0.0])
    with line(lambda _: [next(delays), STATUS % next(steps)]) as (link, _):
        with pytest.raises(Silence):
            query(link, 0.15)
        assert query(link, 1.0) == 2


def test_a_doubled_reply_does_not_answer_the_next_command() -> None:
    steps = iter(range(1, 10))
    with line(lambda _: [(STATUS % next(steps)) * 2]) as (link, _):
        assert [query(link) for _ in range(3)] == [1, 2, 3]


def test_a_wait_is_overtaken_at_once() -> None:
    with line() as (link, _):
        started = time.monotonic()
        with pytest.raises(Overtaken):
            query(link, 5.0, lambda: time.monotonic() - started > 0.1)
        assert time.monotonic() - started < 3.0


def test_a_vanished_port_is_lost_not_silent() -> None:
    far = FarEnd()
    link = Opener(far.name, 9600, lambda: None).wait(2)
    assert link is not None
    assert not link.hung_up()
    far.close()
    assert link.hung_up()
    with pytest.raises(DeviceLost):
        query(link)
    link.close()


def test_f13_a_stalled_port_does_not_block_the_writer_for_ever() -> None:
    with line() as (link, _):
        started = time.monotonic()
        with pytest.raises((DeviceLost, Silence)):
            link.exchange(b"1" * (1 << 20), protocol.parse_answer, 0.2)
        assert time.monotonic() - started < 10.0


@pytest.mark.parametrize("name", ["/dev/no-such-focuser", "socket://127.0.0.1:1", "nonsense://x", "/dev/null"])
def test_a_port_that_cannot_be_opened_says_why(name: str) -> None:
    opener = Opener(name, 9600, lambda: None)
    with pytest.raises(DeviceLost, match="cannot open"):
        assert opener.wait(10) is None


def test_what_became_of_a_move_is_judged_by_its_last_attempt() -> None:
    """The first attempt is lost and seen to be; whether a later one was carried out nobody has seen."""
    answers = iter([[], [STATUS % 10]])
    with line(lambda _: next(answers, [])) as (link, far):
        controller = Controller(link, protocol.FIRMWARE_2022, 2, 0.2)
        with pytest.raises(Silence):
            controller.set_target(1, 500, never)
        assert far.received == [b"1+000500", b"?"] * 3


def test_a_port_has_one_owner() -> None:
    with line() as (_, far), pytest.raises(DeviceLost, match="cannot open"):
        Opener(far.name, 9600, lambda: None).wait(2)
