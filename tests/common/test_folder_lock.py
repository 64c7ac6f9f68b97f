"""The lock of a state folder: one owner at a time, as long as its process lives."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import waiting

from observatory_common.errors import Blocked
from observatory_common.storage import FolderLock

TAKE = """
import sys
from pathlib import Path
from observatory_common.errors import Blocked
from observatory_common.storage import FolderLock
sys.stdin.readline()
try:
    FolderLock(Path(sys.argv[1])).acquire()
except Blocked as error:
    print(error.value, flush=True)
else:
    print("mine", flush=True)
    sys.stdin.read()
"""


@contextmanager
def program(text: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Another process, which is gone in the end."""
    command = [sys.executable, "-c", text, *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_of_many_processes_at_once_one_gets_the_folder(tmp_path: Path) -> None:
    with program(TAKE, tmp_path) as a, program(TAKE, tmp_path) as b, program(TAKE, tmp_path) as c:
        processes = [a, b, c]
        for process in processes:
            print(file=process.stdin, flush=True)
        told = [process.stdout.readline().strip() for process in processes if process.stdout]
        assert told.count("mine") == 1
        owner = processes[told.index("mine")]
        assert set(told) - {"mine", "unknown"} <= {str(owner.pid)}  # unknown: not yet written
        with pytest.raises(Blocked, match=f"process {owner.pid}") as refused:
            FolderLock(tmp_path).acquire()
        assert str(tmp_path) in str(refused.value)


def test_a_lock_outlives_neither_its_release_nor_its_owner_and_no_refused_one(tmp_path: Path) -> None:
    lock, other = FolderLock(tmp_path / "a" / "b"), FolderLock(tmp_path / "a" / "b")
    lock.acquire()
    opened = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        with pytest.raises(Blocked, match=f"process {os.getpid()}"):
            other.acquire()
    assert len(os.listdir("/proc/self/fd")) == opened
    other.release()  # which has nothing, and takes nothing from the owner
    refused: list[Blocked] = []

    def from_another_thread() -> None:
        with pytest.raises(Blocked) as caught:
            other.acquire()
        refused.append(caught.value)

    thread = threading.Thread(target=from_another_thread)
    thread.start()
    thread.join(10)
    assert len(refused) == 1
    lock.release()
    lock.release()
    other.acquire()
    other.release()


def test_a_child_does_not_keep_the_lock_of_a_dead_daemon(tmp_path: Path) -> None:
    text = TAKE.replace(
        'print("mine"', "import subprocess; child = subprocess.Popen(['cat'], close_fds=False); print(child.pid"
    )
    with program(text, tmp_path) as owner:
        print(file=owner.stdin, flush=True)
        assert owner.stdout is not None
        assert int(owner.stdout.readline()) > 0
        lock = FolderLock(tmp_path)
        with pytest.raises(Blocked):
            lock.acquire()
        owner.kill()
        owner.wait(10)
        lock.acquire()  # at once: the child did not inherit it
        lock.release()
        assert owner.stdin is not None
        owner.stdin.close()  # ends the child
        waiting.until(lambda: owner.stdout is None or owner.stdout.read() == "", 10, "the child's end")
