"""State files: whatever happens in the middle of a write, the old content or the new is there, never a mixture."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import waiting

from observatory_common.errors import Blocked
from observatory_common.storage import FolderLock, StateCorrupt, StateFile, write_atomic

OLD, NEW = b"old" * 2000, b"new" * 3000

#: A program that dies at the n-th system call of write_atomic, whichever that is.
DIE_AT = """
import os, sys
from pathlib import Path
from observatory_common import storage
left = int(sys.argv[2])
def dying(name):
    call = getattr(os, name)
    def wrapped(*args, **kwargs):
        global left
        left -= 1
        if left == 0:
            if name == "write":
                call(args[0], bytes(args[1])[: len(args[1]) // 2])
            os._exit(9)
        return call(*args, **kwargs)
    return wrapped
for name in ("open", "write", "fsync", "replace", "rename", "close", "unlink"):
    setattr(os, name, dying(name))
storage.write_atomic(Path(sys.argv[1]), b"new" * 3000)
"""


def test_a_crash_at_any_step_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    file = tmp_path / "state"
    seen = set()
    for step in range(1, 40):
        file.write_bytes(OLD)
        done = subprocess.run([sys.executable, "-c", DIE_AT, str(file), str(step)], check=False)
        assert file.read_bytes() in (OLD, NEW)
        seen.add(file.read_bytes())
        if done.returncode == 0:
            break
    assert done.returncode == 0
    assert step > 4
    assert seen == {OLD, NEW}
    assert file.read_bytes() == NEW


def test_nothing_is_left_beside_it_when_a_write_fails(tmp_path: Path) -> None:
    file = tmp_path / "state"
    file.mkdir()  # so that the rename onto it fails
    with pytest.raises(OSError, match="directory"):
        write_atomic(file, NEW)
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_a_state_file_of_its_own_content_and_of_others(tmp_path: Path) -> None:
    state = StateFile(tmp_path / "state.json")
    assert state.load() is None
    state.save({"a": [1, None, "ü"]})
    assert state.load() == {"a": [1, None, "ü"]}
    for damage in (b"", b"{", b"[]", b"null", b"\xff", b'{"a": 1} trailing'):
        state.path.write_bytes(damage)
        with pytest.raises(StateCorrupt, match=r"state\.json"):
            state.load()


def test_a_folder_has_one_owner_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    program = (
        "import sys; from pathlib import Path; from observatory_common.storage import FolderLock;"
        "FolderLock(Path(sys.argv[1])).acquire(); print('mine', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout.readline() == "mine\n"
        lock = FolderLock(folder)
        with pytest.raises(Blocked, match=f"process {owner.pid}"):
            lock.acquire()
        owner.kill()  # its lock goes with it
        owner.wait(10)
        waiting.until(lambda: _acquired(lock), 5, "the folder")
    assert (folder / "lock").read_text().strip() == str(os.getpid())
    with pytest.raises(Blocked):
        FolderLock(folder).acquire()
    lock.release()
    again = FolderLock(folder)
    again.acquire()
    again.release()


def _acquired(lock: FolderLock) -> bool:
    try:
        lock.acquire()
    except Blocked:
        return False
    return True
