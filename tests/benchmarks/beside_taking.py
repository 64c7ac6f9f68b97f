"""Photos and videos by the API of raspiCamSrv, beside what was measured of raspiCamSrv itself."""

from __future__ import annotations

import random
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import waiting
import webd
from camera_bench import PACE_FPS, settings
from processes import memory_mib, pause
from raspicamsrv import Script
from streaming import Mjpeg
from tables import Table
from web_bench import CAMERA, FEED, drawing_s, site

_LIVE = {"stream": "lores", "size": [640, 480], "format": "YUV420", "mode": 0}
_SHOTS = 20  # of each kind; more than were measured there (10 and 5): medians of few vary
_VIDEOS = 3
_QUIET_VIDEO_S, _WATCHED_VIDEO_S = 3, 6
#: Seconds until raspiCamSrv answers: while nobody looks, while somebody does.
_THEIRS_S = {"take_photo": (2.14, 0.034), "take_raw_photo": (2.31, 0.038), "record_video": (5.8, 4.03)}
_NAMES = {"take_photo": "take_photo", "take_raw_photo": "take_raw_photo as DNG"}
_HOW = (
    "raspiCamSrv 4.10 was measured once, under flask, on a machine of this kind; it was not run again for this table. Both by"
    " raspiCamSrv's API, each call from the request to the answer, a live stream of 640x480 at {fps:g} frames/s, medians;"
    " {shots} photos, {shots} raw ones, {videos} videos each. All these have 1280x960 there and 1280x720 here, the small mode"
    " of the simulated sensor. Ours are taken at random moments, so that half the time from frame to frame is in them, and are"
    " on the disk (fsync) with their metadata when it answers; the first photo, which loads the encoder, is in them, and so are"
    " the {drawing_ms:.0f} ms in which the simulated sensor draws a picture, which theirs has drawn before. {state}"
)


class Looker:
    """One viewer of the live stream, in a thread, which notes when each picture came; for as long as the context lasts."""

    def __init__(self, port: int) -> None:
        self.came_s: list[float] = []
        self._client = Mjpeg(port, FEED)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="looker")

    def __enter__(self) -> Looker:
        self._thread.start()
        waiting.until(lambda: len(self.came_s) > PACE_FPS, 20, "the live stream")
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join(25)  # it reads with a time limit of 20 s
        self._client.close()

    def longest_s(self, began_s: float, ended_s: float) -> float:
        """The longest time without a new picture between two instants (monotonic clock); waits for the one after."""
        waiting.until(lambda: self.came_s[-1] > ended_s, 10, "a picture of the live stream")
        return longest_s(self.came_s, began_s, ended_s)

    def _run(self) -> None:
        while not self._closing.is_set():
            self._client.part()
            self.came_s.append(time.monotonic())


def longest_s(came_s: Sequence[float], began_s: float, ended_s: float) -> float:
    """The longest of the times from picture to picture that lie in a span, if only partly."""
    return max(after - before for before, after in pairwise(list(came_s)) if after > began_s and before < ended_s)


def taken(folder: Path, state: str) -> Table:
    """The table."""
    table = Table("Photos and videos beside raspiCamSrv", "what raspiCamSrv was measured to take", "")
    cases = {**settings()["use_cases"], "live": _LIVE}
    with site(folder, settings(use_cases=cases)) as rig:
        rig.web.administrator().close()
        with Script(rig.web.url) as script:
            script.log_in().raise_for_status()
            quiet = {name: _shots(script, name) for name in _NAMES}
            quiet["record_video"] = _videos(rig, script, _QUIET_VIDEO_S)
            with Looker(rig.web.port) as looker:
                watched = {name: _shots(script, name) for name in _NAMES}
                watched["record_video"] = _videos(rig, script, _WATCHED_VIDEO_S)
                gaps = {name: [looker.longest_s(*span[::2]) for span in spans] for name, spans in watched.items()}
        drawing_ms = 1e3 * drawing_s(rig.cameras[CAMERA].config, "photo")
        memory = sum(memory_mib(pid) for pid in (rig.web.process.pid, rig.cameras[CAMERA].process.pid))
    table.how = _HOW.format(
        fps=PACE_FPS,
        shots=_SHOTS,
        videos=_VIDEOS,
        drawing_ms=drawing_ms,
        state=state,
    )
    for name, what in _NAMES.items():
        for spans, looks, theirs_s in zip((quiet, watched), ("nobody looks", "somebody looks"), _THEIRS_S[name], strict=True):
            _add_answer(table, f"{what}, {looks}", _answers(spans[name]), theirs_s)
    quiet_s, watched_s = _THEIRS_S["record_video"]
    what = f"record_video of {_QUIET_VIDEO_S} s, nobody looks (there an error is answered, though the film is there)"
    _add_answer(table, what, _answers(quiet["record_video"]), quiet_s)
    what = f"record_video of {_WATCHED_VIDEO_S} s, somebody looks"
    _add_answer(table, what, _answers(watched["record_video"]), watched_s)
    _add_gaps(table, gaps)
    table.add("memory after all of these", f"326 MiB there, {memory:.0f} MiB here", memory / 326, 1.0)
    return table


#: When something was asked for, when that was answered, and when it was over.
_Span = tuple[float, float, float]


def _shots(script: Script, name: str) -> list[_Span]:
    return _timed(_SHOTS, lambda: script.done(name), lambda: None)


def _videos(rig: webd.Rig, script: Script, duration_s: float) -> list[_Span]:
    """Of each, until its file is closed."""
    with rig.cameras[CAMERA].connect() as camera:

        def end() -> None:
            waiting.until(lambda: camera.report_status()["recording"] is None, duration_s + 20, "the film's end")

        return _timed(_VIDEOS, lambda: script.done("record_video", {"duration": duration_s}), end)


def _timed(count: int, act: Callable[[], object], end: Callable[[], object]) -> list[_Span]:
    """At random moments, so that none of them follows from the frames' times."""
    moments = random.Random(1)
    spans = []
    for _ in range(count):
        pause(moments.uniform(0.2, 0.3))
        began_s = time.monotonic()
        act()
        answered_s = time.monotonic()
        end()
        spans.append((began_s, answered_s, time.monotonic()))
    return spans


def _answers(spans: Sequence[_Span]) -> list[float]:
    return [answered_s - began_s for began_s, answered_s, _ in spans]


def _add_answer(table: Table, what: str, times_s: Sequence[float], theirs_s: float) -> None:
    middle_s = statistics.median(times_s)
    figure = f"{theirs_s * 1e3:.0f} ms there, {middle_s * 1e3:.0f} ms here, at most {max(times_s) * 1e3:.0f} ms"
    table.add(what, figure, middle_s / theirs_s, 1.0)


def _add_gaps(table: Table, gaps: dict[str, list[float]]) -> None:
    """How long the viewer waited for a picture meanwhile; a median near a frame's time cannot be bettered, so it has no aim."""
    middle_ms = {name: 1e3 * statistics.median(found) for name, found in gaps.items()}
    most_ms = {name: 1e3 * max(found) for name, found in gaps.items()}
    period = f"{1e3 / PACE_FPS:.0f} ms is the time from picture to picture"
    what = "the live stream's longest gap around"
    for name, theirs_ms in (("take_photo", 36), ("take_raw_photo", 37)):
        figure = f"{theirs_ms} ms there, {middle_ms[name]:.0f} ms here; {period}"
        table.add(f"{what} a {_NAMES[name]}", figure, middle_ms[name] / theirs_ms)
    figure = f"95 ms there, {most_ms['take_photo']:.0f} ms here"
    table.add(f"{what} any take_photo", figure, most_ms["take_photo"] / 95, 1.0)
    figure = f"115 ms there, at most 261; {middle_ms['record_video']:.0f} ms here, at most {most_ms['record_video']:.0f}"
    table.add(f"{what} a record_video, until its end", figure, middle_ms["record_video"] / 115, 1.0)
