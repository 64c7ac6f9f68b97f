"""Requests on their way to the serial worker: a stop overtakes a move, and takes it with it."""

from __future__ import annotations

import pytest

from observatory_common.errors import Stopped
from observatory_focusd.mailbox import Mailbox, Request


def test_a_move_that_was_not_begun_before_a_stop_of_its_channel_is_not_begun_after_it() -> None:
    mailbox = Mailbox()
    done: list[str] = []
    move = Request(lambda: done.append("move"), moves=[1])
    other = Request(lambda: done.append("other"), moves=[2])
    reading = Request(lambda: done.append("fans"))
    stop = Request(lambda: done.append("stop"), stops=[1])
    for request in (move, other, reading, stop):
        mailbox.put(request)
    while (request := mailbox.take(0)) is not None:
        request.run()
    assert done == ["stop", "other", "fans"]
    with pytest.raises(Stopped, match="nothing was done"):
        move.wait()
