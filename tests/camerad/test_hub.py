"""What viewers are given: the latest picture, and never one from before, of a camera that has gone or of the last viewer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import waiting
from simulated import camera, frames

from observatory_camerad.acquisition.frames import Frame
from observatory_camerad.live.hub import FrameHub
from observatory_common import timestamps


def frame(number: int) -> Frame:
    made = camera()
    request = next(frames(made, 1))
    return Frame(request, made.configure(request._configuration), number)


class Encoder:
    """One that can be held up."""

    def __init__(self) -> None:
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.began = threading.Event()

    def __call__(self, pixels: np.ndarray, format: str) -> bytes:
        self.began.set()
        assert self.goes_on.wait(10)
        return b"jpeg"


@pytest.fixture
def encoder() -> Encoder:
    return Encoder()


@pytest.fixture
def hub(encoder: Encoder) -> Iterator[FrameHub]:
    made = FrameHub("main", encoder, timestamps.utc_now, lambda *_: None)
    yield made
    encoder.goes_on.set()
    made.close()


def test_a_frame_that_was_on_its_way_as_the_last_viewer_left_is_not_given_to_the_next(hub: FrameHub) -> None:
    assert hub.newer_than(0, 0) is None
    hub.offer(frame(1))
    hub._wanted_until = 0.0  # the last viewer has not looked for so long
    hub.start()
    assert hub.newer_than(0, 0.3) is None
    hub.offer(frame(2))
    latest = hub.newer_than(0, 5)
    assert latest is not None and latest.number == 2


def test_a_picture_of_a_camera_that_has_gone_is_not_shown_however_late_it_is_encoded(hub: FrameHub, encoder: Encoder) -> None:
    encoder.goes_on.clear()
    hub.start()
    with ThreadPoolExecutor(1) as viewer:
        looking = viewer.submit(hub.newer_than, 0, 10)
        waiting.until(lambda: hub.watched, 5, "the viewer")
        hub.offer(frame(1))
        assert encoder.began.wait(5)
        hub.forget()
        encoder.goes_on.set()
        assert hub.newer_than(0, 0.3) is None
        hub.offer(frame(2))
        latest = looking.result(10)
    assert latest is not None and latest.number == 2
