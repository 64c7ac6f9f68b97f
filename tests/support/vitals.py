"""What a process uses, and whether an attack has harmed it."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import waiting
from attacks import Poller, Target

GOOD_P99_S = 0.25


@dataclass
class Vitals:
    """Another process, as the kernel sees it."""

    pid: int

    def threads(self) -> int:
        """How many threads it has."""
        return len(os.listdir(f"/proc/{self.pid}/task"))

    def tasks(self) -> str:
        """What each of its threads waits for, as far as the kernel tells."""
        lines = []
        for task in sorted(Path(f"/proc/{self.pid}/task").iterdir()):
            lines.append(task.name)
            for name in ("comm", "wchan", "syscall", "status"):
                try:
                    text = (task / name).read_text()
                except OSError as error:
                    text = str(error.strerror)
                lines += [f"  {name}: {line}" for line in text.splitlines() if name != "status" or line.startswith("State")]
        return "\n".join(lines)

    def open_files(self) -> int:
        """How many file descriptors it has."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def memory_mb(self) -> float:
        """Its resident memory."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 1e6

    def waited_s(self) -> float:
        """For how long its threads could have run, and had no processor, in sum: what others on this machine have cost it."""
        waited_ns = 0
        for task in os.listdir(f"/proc/{self.pid}/task"):
            with suppress(OSError):  # it has ended, or this kernel does not tell
                waited_ns += int(Path(f"/proc/{self.pid}/task/{task}/schedstat").read_text().split()[1])
        return waited_ns / 1e9

    def cpu_s(self) -> float:
        """The processor time it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def unharmed(target: Target, vitals: Vitals, machine_lag, threads_at_rest: int, more_memory_mb: float = 20) -> Iterator[None]:
    """While the context lasts, a good client polls: its p99 stays low; afterwards threads, files and memory are as before."""
    with ExitStack() as stack:  # bring the pool to its normal size first
        for _ in range(8):
            stack.enter_context(target.greeted())
    with Poller(target) as poller:
        waiting.until(lambda: vitals.threads() <= threads_at_rest, 10, "the pool to come to rest")
        files, memory_mb = vitals.open_files(), vitals.memory_mb()
        with ThreadPoolExecutor(1) as aside:
            most_mb, stop = [0.0], []
            watching = aside.submit(_watch_memory, vitals, most_mb, stop)
            try:
                yield
            finally:
                stop.append(True)
                watching.result()
        waiting.until(lambda: vitals.threads() <= threads_at_rest, 15, f"no more than {threads_at_rest} threads")
        waiting.until(lambda: vitals.open_files() <= files, 15, f"{files} files")
        assert most_mb[0] < memory_mb + more_memory_mb
    assert poller.p99_s < GOOD_P99_S + machine_lag.seconds


def _watch_memory(vitals: Vitals, most_mb: list[float], stop: list[bool]) -> None:
    def look() -> bool:
        most_mb[0] = max(most_mb[0], vitals.memory_mb())
        return bool(stop)

    waiting.until(look, 120, "the end of the attack")
