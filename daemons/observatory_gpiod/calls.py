"""Calls of devices as jobs: those that go on, and those with a request id, which are done once only."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from observatory_common.errors import CommandFailed, DeviceLost, ObservatoryError, Stopped, TimedOut, Uncertain
from observatory_common.jobs import Job, JobTable
from observatory_gpiod.devices.base import HARMLESS, Device
from observatory_gpiod.devices.task import FAILED, STOPPED, Task
from observatory_gpiod.journal import Journal

log = logging.getLogger("gpiod.calls")


class Calls:
    """Starts the methods of devices, and gives those that take a while to the job table.

    `on_call(device, by)` hears who is about to change a device, but nothing of what is refused or was done before.
    """

    def __init__(self, jobs: JobTable, journal: Journal, on_call: Callable[[str, str], None] = lambda device, by: None) -> None:
        self._jobs = jobs
        self._journal = journal
        self._on_call = on_call

    def call(self, device: Device, method: str, arguments: dict[str, Any], by: str) -> Job | None:
        """Do a method; its job if it goes on. Raises Stopped if a stop was asked for while it waited; it is not done then."""
        task = device.call(method, arguments, partial(self._on_call, device.id, by))
        if task is None:
            return None
        job = self._jobs.start(f"{device.id}.{method}", by, cancel=task.cancel, expected_end_s=task.expected_s)
        _follow(task, job)
        return job

    def call_once(self, device: Device, method: str, arguments: dict[str, Any], by: str, request_id: str) -> Job:
        """Do a method unless that request has been accepted before; its job, which may have ended.

        A job that is cancelled while it waits for its turn is not done; nor if a stop is asked for then.
        Requests are remembered over a restart: raises Uncertain for one of an earlier run, since whether it was carried out
        is not known any more.
        """
        earlier = self._jobs.with_request(request_id)
        if earlier is not None:
            return earlier
        if self._journal.accepted_before_restart(request_id):
            raise Uncertain(
                f"request {request_id} was accepted before gpiod was started again; whether it was done is not known",
                value=request_id,
            )
        device.check(method, arguments)
        running: list[Task] = []
        cancelled = threading.Event()

        def cancel() -> None:
            cancelled.set()  # there may be no task yet
            for task in running:
                task.cancel()

        try:
            job = self._jobs.start(f"{device.id}.{method}", by, cancel=cancel, request_id=request_id)
        except ValueError:  # somebody was faster
            return self.call_once(device, method, arguments, by, request_id)
        end = "failed"
        try:
            if method not in HARMLESS:
                self._accept(device, request_id)
            task = device.call(method, arguments, partial(self._on_call, device.id, by), cancelled.is_set)
            if task is not None:
                running.append(task)
                if cancelled.is_set():
                    task.cancel()
                if task.expected_s is not None:
                    job.progress(0.0, task.expected_s)
                _follow(task, job)
            end = "succeeded"
        except Stopped:
            end = "stopped"
        except ObservatoryError as error:
            job.finish("failed", error=error)
            raise
        finally:
            if not running:
                job.finish(end)
        return job

    def _accept(self, device: Device, request_id: str) -> None:
        """Remember a request; where that cannot be, nothing moves, but what is only switched is."""
        try:
            self._journal.accept(request_id)
        except CommandFailed as error:
            if "position" in device.READINGS:
                raise
            log.warning("%s; %s is called all the same", error, device.id)


def _follow(task: Task, job: Job) -> None:
    task.job_id = job.id
    task.on_progress(job.progress)
    task.on_end(lambda ended: _finish(ended, job))


def _finish(task: Task, job: Job) -> None:
    if task.state != FAILED:
        result = {key: value for key, value in task.result.items() if key != "stopped"}
        job.finish("stopped" if task.state == STOPPED else "succeeded", result)
        return
    error = task.error
    if not isinstance(error, ObservatoryError):
        error = CommandFailed(f"{type(error).__name__}: {error}")
    state = {DeviceLost: "lost_device", TimedOut: "timed_out"}.get(type(error), "failed")
    job.finish(state, error=error)
