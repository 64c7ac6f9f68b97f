"""Waiting for the camera's jobs, with bars on a terminal that the camera's status fills."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

from observatory_cli import jobs
from observatory_cli.jobs import InWords, Start
from observatory_common.errors import DaemonNotReachable, NotConnected
from observatory_common.rpc.client import RemoteDaemon
from observatory_common.terminal import options

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


@dataclass(frozen=True)
class Bar:
    """How far something is: `done` of `whole` (None: nobody knows), and that in words."""

    label: str
    done: float
    whole: float | None
    words: str = ""


#: How far a job is, by the camera's status and the job.
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
    """As `jobs.finished`, with bars. --timeout ends the waiting, not the job (TimedOut)."""
    return jobs.finished(camera, start, lambda job: _followed(camera, job, how_far), in_words, "the camera", resumed)


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
