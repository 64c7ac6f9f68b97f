"""A job from a shell: started once, waited for, ended by Ctrl-C, which then says what became of it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click

from observatory_common.errors import ExitCode, ObservatoryError, Stopped, Uncertain
from observatory_common.rpc.client import RemoteDaemon
from observatory_common.terminal import as_error, options, print_json

_ENDED_WITHIN_S = 15.0

#: Starts a job; waits for a job and returns it as it ended; says what a job has become.
Start = Callable[[], dict[str, Any]]
Follow = Callable[[Mapping[str, Any]], dict[str, Any]]
InWords = Callable[[Mapping[str, Any]], str]


def finished(
    daemon: RemoteDaemon,
    start: Start,
    follow: Follow,
    in_words: InWords,
    device: str,
    resumed: Callable[[], dict[str, Any] | None] = lambda: None,
) -> dict[str, Any]:
    """Start a job and wait for its success. Raises how else it ended; click's Exit if Ctrl-C has ended it.

    `device` is what is at it, in words. `resumed` finds the job with which a restarted daemon goes on.
    """
    daemon.hello  # noqa: B018 - contact first: until here Ctrl-C has nothing to end
    job: dict[str, Any] | None = None
    try:
        with _interrupts_held():  # else nobody would know the job of a request that is under way
            job = start()
        while True:
            try:
                return _succeeded(follow(job), in_words)
            except Uncertain:  # the daemon has restarted
                found = resumed()
                if found is None:
                    raise
                job = found
    except KeyboardInterrupt:
        if job is None:
            raise
        _end(daemon, job, in_words, device)
        raise click.exceptions.Exit(ExitCode.StoppedByUser) from None


def _succeeded(job: dict[str, Any], in_words: InWords) -> dict[str, Any]:
    error = as_error(job)
    if error is not None:
        if job["result"]:
            print(in_words(job), file=sys.stderr)
        raise error
    if job["state"] not in ("succeeded", "running"):  # one that is not waited for may run
        raise Stopped(f"{in_words(job)}: somebody has stopped it")
    return job


def _end(daemon: RemoteDaemon, job: Mapping[str, Any], in_words: InWords, device: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # what follows takes seconds at most, and must be told to its end
    try:
        daemon.cancel(job["id"])
        ended = daemon.wait_for(job, None, _ENDED_WITHIN_S)
    except ObservatoryError as error:
        print(f"\nerror: {device} may still be at it: {error}", file=sys.stderr)
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
