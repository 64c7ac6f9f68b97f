"""Waiting for the camera's jobs, with bars on a terminal; Ctrl-C ends a job and says what became of it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

import click

from observatory_common.errors import DaemonNotReachable, ExitCode, NotConnected, ObservatoryError, Stopped, Uncertain
from observatory_common.rpc.client import RemoteDaemon
from observatory_common.terminal import as_error, options, print_json

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_ENDED_WITHIN_S = 15.0

#: Starts a job; what a job has become in words; how far it is, by the camera's status and the job.
Start = Callable[[], dict[str, Any]]
InWords = Callable[[Mapping[str, Any]], str]


@dataclass(frozen=True)
class Bar:
    """How far something is: `done` of `whole` (None: nobody knows), and that in words."""

    label: str
    done: float
    whole: float | None
    words: str = ""


HowFar = Callable[[Mapping[str, Any], Mapping[str, Any]], list[Bar]]


class Bars:
    """Progress bars on stderr if that is a terminal; elsewhere nothing at all."""

    def __init__(self) -> None:
        self._wanted = sys.stderr.isatty()
        self._progress: Progress | None = None
        self._tasks: list[TaskID] = []

    def __enter__(self) -> Bars:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self._progress is not None:
            self._progress.stop()

    @property
    def wanted(self) -> bool:
        """Whether anybody would see them."""
        return self._wanted

    def show(self, bars: list[Bar]) -> None:
        """Show these, and no others."""
        if not self._wanted:
            return
        progress = self._progress = self._progress or _started()
        for number, bar in enumerate(bars):
            if number == len(self._tasks):
                self._tasks.append(progress.add_task(bar.label, total=bar.whole, words=bar.words))
            task = self._tasks[number]
            progress.update(task, description=bar.label, completed=bar.done, total=bar.whole, words=bar.words, visible=True)
        for task in self._tasks[len(bars) :]:
            progress.update(task, visible=False)


def _started() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.fields[words]}", markup=False))
    progress = Progress(*columns, console=Console(stderr=True), transient=True)
    progress.start()
    return progress


def finished(
    camera: RemoteDaemon,
    start: Start,
    how_far: HowFar,
    in_words: InWords,
    resumed: Callable[[], dict[str, Any] | None] = lambda: None,
) -> dict[str, Any]:
    """Start a job and wait for its success. Raises how else it ended; click's Exit if Ctrl-C has ended it.

    `resumed` finds the job with which a restarted daemon goes on. --timeout ends the waiting, not the job (TimedOut).
    """
    camera.hello  # noqa: B018 - contact first: until here Ctrl-C has nothing to end
    job: dict[str, Any] | None = None
    try:
        with _interrupts_held():  # else nobody would know the job of a request that is under way
            job = start()
        while True:
            try:
                return succeeded(_followed(camera, job, how_far), in_words)
            except Uncertain:  # the daemon has restarted
                found = resumed()
                if found is None:
                    raise
                job = found
    except KeyboardInterrupt:
        if job is None:
            raise
        _end(camera, job, in_words)
        raise click.exceptions.Exit(ExitCode.StoppedByUser) from None


def _followed(camera: RemoteDaemon, job: Mapping[str, Any], how_far: HowFar) -> dict[str, Any]:
    with Bars() as bars:

        def show(seen: Mapping[str, Any]) -> None:
            if seen["state"] != "running":
                return
            try:
                bars.show(how_far(camera.report_status(), seen))
            except (DaemonNotReachable, NotConnected):
                return  # it is waited for

        return camera.wait_for(job, show if bars.wanted else None, options().timeout_s)


def succeeded(job: dict[str, Any], in_words: InWords) -> dict[str, Any]:
    """A job that has succeeded. Raises how else it ended."""
    error = as_error(job)
    if error is not None:
        if job["result"]:
            print(in_words(job), file=sys.stderr)
        raise error
    if job["state"] != "succeeded":
        raise Stopped(f"{in_words(job)}: somebody has stopped it")
    return job


def _end(camera: RemoteDaemon, job: Mapping[str, Any], in_words: InWords) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # what follows takes seconds at most, and must be told to its end
    try:
        camera.cancel(job["id"])
        ended = camera.wait_for(job, None, _ENDED_WITHIN_S)
    except ObservatoryError as error:
        print(f"\nerror: the camera may still be at it: {error}", file=sys.stderr)
        return
    print(f"\n{in_words(ended)}", file=sys.stderr)
    if options().json:
        print_json(ended)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Within this, Ctrl-C waits until the end."""
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:  # ignored, as by `cam photo &`
        yield
        return
    held: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: held.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if held:
        raise KeyboardInterrupt
