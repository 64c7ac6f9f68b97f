"""State files on a full disk, under a failing disk, under a reader and under a kill: old or new, never a mixture."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from observatory_common.storage import StateCorrupt, StateFile, write_atomic

OLD, NEW = b"old" * 20_000, b"new" * 30_000
STEPS = ("fsync", "fchmod", "replace", "open", "close")  # the system calls by which a file is replaced


@contextmanager
def program(text: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Another process, which is gone in the end."""
    command = [sys.executable, "-c", text, *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def record(monkeypatch: pytest.MonkeyPatch, fail_at: int = 0, error: BaseException | None = None) -> list[str]:
    """The names of the steps that were done, in order; the `fail_at`th fails instead, once."""
    done: list[str] = []

    def recorded(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **kwargs: Any) -> Any:
            kind = ""
            if name == "fsync":
                kind = " folder" if stat.S_ISDIR(os.fstat(args[0]).st_mode) else " file"
            done.append(name + kind)
            if len(done) == fail_at:
                if name == "close":
                    call(*args)
                assert error is not None
                raise error
            return call(*args, **kwargs)

        return step

    for name in STEPS:
        monkeypatch.setattr(os, name, recorded(name, getattr(os, name)))
    return done


def test_the_content_is_on_the_disk_before_it_has_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a power cut could leave an empty file under the name, or the old one although a save had returned."""
    with monkeypatch.context() as patch:
        done = record(patch)
        write_atomic(tmp_path / "state", NEW)
    assert done.index("fsync file") < done.index("replace") < done.index("fsync folder")
    assert names_in(tmp_path) == ["state"]


def test_the_content_is_whole_when_it_gets_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, bytes]] = []
    replace = os.replace

    def look(source: str, target: Path) -> None:
        seen.append((Path(source).stat().st_dev, Path(source).read_bytes()))
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", look)
        write_atomic(tmp_path / "state", NEW)
    assert seen == [(tmp_path.stat().st_dev, NEW)]


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()], ids=["io", "signal"])
def test_a_step_that_fails_leaves_old_or_new_and_nothing_else(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        done = record(patch)
        write_atomic(tmp_path / "state", OLD)
    replaced_at = done.index("replace") + 1
    for fail_at in range(1, len(done) + 1):
        (tmp_path / "state").write_bytes(OLD)
        with monkeypatch.context() as patch:
            record(patch, fail_at, error)
            with pytest.raises(type(error)):
                write_atomic(tmp_path / "state", NEW)
        assert (tmp_path / "state").read_bytes() == (OLD if fail_at <= replaced_at else NEW), done[fail_at - 1]
        assert names_in(tmp_path) == ["state"], done[fail_at - 1]


DIE_AT = """
import os, sys
from pathlib import Path
from observatory_common.storage import write_atomic
left = int(sys.argv[2])
def dying(call, last_act=lambda *args: None):
    def step(*args, **kwargs):
        global left
        left -= 1
        if left == 0:
            last_act(*args)
            os._exit(9)
        return call(*args, **kwargs)
    return step
fdopen = os.fdopen
class Half:
    def __init__(self, descriptor, mode):
        self.file = fdopen(descriptor, mode)
        self.write = dying(self.file.write, lambda data: os.write(descriptor, data[: len(data) // 2]))
        self.flush, self.fileno = self.file.flush, self.file.fileno
    def __enter__(self):
        return self
    def __exit__(self, *_):
        self.file.close()
os.fdopen = Half
for name in ("open", "fsync", "fchmod", "replace", "close"):
    setattr(os, name, dying(getattr(os, name)))
write_atomic(Path(sys.argv[1]), b"new" * 30_000)
"""


def test_a_process_that_dies_at_any_step_leaves_old_or_new(tmp_path: Path) -> None:
    """Also half way through the writing. What it leaves beside the file is in nobody's way."""
    left: list[bytes] = []
    for step in range(1, 20):
        (tmp_path / "state").write_bytes(OLD)
        with program(DIE_AT, tmp_path / "state", step) as process:
            code = process.wait(20)
        left.append((tmp_path / "state").read_bytes())
        if code == 0:
            break
        assert code == 9
    assert code == 0
    assert len(left) > 6
    assert left == sorted(left, key=[OLD, NEW].index)  # ValueError for a mixture
    assert (left[0], left[-1]) == (OLD, NEW)


FULL_DISK = """
import resource, sys
from pathlib import Path
from observatory_common.storage import write_atomic
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
try:
    write_atomic(Path(sys.argv[1]), b"new" * 30_000)
except OSError as error:
    print(error.errno)
"""


@pytest.mark.parametrize("room", [0, 1, 4096, 89_999, 90_000])
def test_a_file_for_which_there_is_no_room(room: int, tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(OLD)
    with program(FULL_DISK, tmp_path / "state", room) as process:
        told = process.communicate(timeout=20)[0]
    fits = room >= len(NEW)
    assert told == ("" if fits else f"{errno.EFBIG}\n")
    assert (tmp_path / "state").read_bytes() == (NEW if fits else OLD)
    assert names_in(tmp_path) == ["state"]


WRITER = """
import sys
from itertools import count
from pathlib import Path
from observatory_common.storage import StateFile
for number in count():
    StateFile(Path(sys.argv[1])).save({"number": number, "text": "x" * (number % 7 * 3000), "again": number})
    print(number, flush=True)
"""


def test_a_reader_beside_a_writer_that_is_killed_sees_whole_states_only(tmp_path: Path) -> None:
    state = StateFile(tmp_path / "state.json")
    last = -1
    for _ in range(5):
        with program(WRITER, state.path) as process:
            assert process.stdout is not None
            for _ in range(30):
                last = int(process.stdout.readline())
                seen = state.load()
                assert seen is not None
                assert seen["number"] == seen["again"] >= last
                assert len(seen["text"]) == seen["number"] % 7 * 3000
        left = state.load()
        assert left is not None
        assert left["number"] == left["again"] >= last  # what a save has returned from is never lost


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o000])
def test_the_mode_is_that_of_any_new_file(umask: int, tmp_path: Path) -> None:
    """0644, less what the umask takes."""
    text = "import os, sys; from pathlib import Path; from observatory_common.storage import write_atomic;"
    text += "os.umask(int(sys.argv[2])); write_atomic(Path(sys.argv[1]), b'x')"
    with program(text, tmp_path / "state", umask) as process:
        assert process.wait(20) == 0
    assert oct(stat.S_IMODE((tmp_path / "state").stat().st_mode)) == oct(0o644 & ~umask)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.binary(max_size=40))
def test_any_bytes_are_a_state_or_corrupt(raw: bytes, tmp_path: Path) -> None:
    state = StateFile(tmp_path / "state.json")
    state.path.write_bytes(raw)
    try:
        loaded = state.load()
    except StateCorrupt as error:
        assert str(error).startswith(str(state.path))
    else:
        assert loaded == json.loads(raw)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"[" * 100_000, id="deep list"),
        pytest.param(b'{"a":' * 100_000, id="deep object"),
        pytest.param(b'{"a": ' + b"9" * 5000 + b"}", id="long number"),
    ],
)
def test_what_python_cannot_hold_is_corrupt(raw: bytes, tmp_path: Path) -> None:
    state = StateFile(tmp_path / "state.json")
    state.path.write_bytes(raw)
    with pytest.raises(StateCorrupt, match=r"state\.json"):
        state.load()


def test_a_state_in_a_folder_that_is_not_there(tmp_path: Path) -> None:
    state = StateFile(tmp_path / "absent" / "state.json")
    assert state.load() is None
    with pytest.raises(FileNotFoundError):
        state.save({})
    (tmp_path / "state.json").mkdir()
    with pytest.raises(StateCorrupt, match="directory"):
        StateFile(tmp_path / "state.json").load()
