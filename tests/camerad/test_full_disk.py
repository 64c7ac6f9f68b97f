"""Pictures on a full disk, on one that cannot be written, and under kills."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest
import waiting
from pictures import names_in, opened, save_one
from small_disk import SmallDisk

from observatory_camerad.outputs import disk
from observatory_camerad.outputs.files import FileStore, NoRoom
from observatory_common.errors import CommandFailed
from observatory_common.storage import StateFile

# disks


def test_a_full_disk_refuses_before_the_shutter_and_truncates_nothing(tmp_path: Path) -> None:
    with SmallDisk(tmp_path, 40) as small:
        store = opened(small.path)
        name = save_one(store, b"a" * (1 << 20))
        filler = small.fill(leave_bytes=17 << 20)
        store.require_room(1 << 19)
        with pytest.raises(
            NoRoom, match=r"^no room in .*/pictures: needs 18874368 bytes \(18.0 MiB\), has 17\d* bytes \(17.0 MiB\)$"
        ):
            store.require_room(2 << 20)
        small.fill()
        with pytest.raises(NoRoom, match=r"needs 16777217 bytes \(16.0 MiB\), has 0 bytes$"):
            store.require_room(1)
        counter = (small.path / "counter.json").read_bytes()
        with pytest.raises(NoRoom, match=r"needs .* has 0 bytes"):
            store.next_stem()
        with pytest.raises(NoRoom, match=r"needs .* has 0 bytes"):
            store.save("cam-00000002.jpg", b"b" * (1 << 20), {})
        assert (small.path / "counter.json").read_bytes() == counter
        assert names_in(small.path) == ["counter.json", "filler.bin", "pictures"]
        assert names_in(small.path / "pictures") == [name, "cam-00000001.json"]
        assert (small.path / "pictures" / name).read_bytes() == b"a" * (1 << 20)
        filler.unlink()
        assert save_one(store) == "cam-00000002.jpg"


def test_a_disk_that_fills_up_while_a_picture_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with SmallDisk(tmp_path, 4) as small:
        store = opened(small.path)
        monkeypatch.setattr(disk, "SPARE_BYTES", -(1 << 40))  # as if there had been room a moment ago
        with pytest.raises(NoRoom, match="no room in"):
            store.save("cam-00000001.jpg", b"b" * (8 << 20), {"a": 1})
        assert names_in(small.path / "pictures") == []


def test_a_read_only_disk_is_told_plainly(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with SmallDisk(tmp_path, 4) as small:
        store = opened(small.path)
        (small.path / "pictures" / "cam-00000007.jpg").write_bytes(b"x")
        small.make_read_only()
        for call in (
            lambda: store.require_room(1),
            lambda: store.save("cam-00000008.jpg", b"x", {}),
            lambda: store.delete(["cam-00000007.jpg"]),
            store.next_stem,
        ):
            with pytest.raises(CommandFailed, match=r"cannot be (written|changed): Read-only file system"):
                call()
        assert store.read("cam-00000007.jpg", 0).data == b"x"
        missing = FileStore(small.path / "elsewhere", "cam", StateFile(tmp_path / "counter.json"))
        assert "cannot be made: Read-only file system; captures are refused until it can be used" in caplog.text
        with pytest.raises(CommandFailed, match="cannot be made: Read-only file system"):
            missing.require_room(1)


# crashes

SAVES = """
import sys
from pathlib import Path
from observatory_camerad.outputs.files import FileStore
from observatory_common.storage import StateFile
folder = Path(sys.argv[1])
store = FileStore(folder / "pictures", "cam", StateFile(folder / "counter.json"))
with (folder / "given").open("a", buffering=1) as given:
    while True:
        stem = store.next_stem()
        given.write(stem + "\\n")
        store.save(stem + ".jpg", stem.encode() * 50_000, {"stem": stem})
"""


def killed_while_saving(folder: Path, bytes_given: int, later_s: float) -> None:
    """Kill a program that saves pictures, `later_s` after it has written down some more numbers."""
    given = folder / "given"
    wanted = given.stat().st_size + bytes_given
    process = subprocess.Popen([sys.executable, "-c", SAVES, str(folder)])
    try:
        waiting.until(lambda: given.stat().st_size >= wanted or process.poll() is not None, 30, "pictures")
        assert process.poll() is None
        threading.Event().wait(later_s)  # any moment of a save
    finally:
        process.kill()
        process.wait(10)


def test_ten_kills_tear_no_file_and_repeat_no_number(tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.touch()
    chance = random.Random(3)
    for _ in range(10):
        killed_while_saving(tmp_path, 13 * chance.randint(1, 12), chance.random() * 0.01)
    numbers = Counter(given.read_text().split())
    assert len(numbers) > 20
    assert set(numbers.values()) == {1}
    names = [file["name"] for file in opened(tmp_path).list()]
    assert names_in(tmp_path / "pictures") == names
    pictures = [name for name in names if name.endswith(".jpg")]
    assert len(names) == 2 * len(pictures) >= 2 * (len(numbers) - 10)
    for name in pictures:
        stem = name.removesuffix(".jpg")
        assert (tmp_path / "pictures" / name).read_bytes() == stem.encode() * 50_000
        assert json.loads((tmp_path / "pictures" / f"{stem}.json").read_text()) == {"stem": stem}


def test_only_its_own_left_overs_are_removed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    mine = [".cam-00000005.jpg.a1b2c3_z", ".cam-00000004.json.abcdefgh", "cam-00000005.json"]
    others = [
        ".cam-00000003.mp4.part",
        "cam-00000003.json",  # of the video that will be recovered
        ".other-00000001.jpg.abcdefgh",
        ".cam-00000006.jpg.short",
        ".bashrc",
        "cam-00000002.jpg",
        "cam-00000002.json",
        "notes.json",
    ]
    for name in mine + others:
        (folder / name).write_text(name)
    (folder / ".cam-00000001.jpg.abcdefgh").symlink_to("/etc/passwd")
    opened(tmp_path)
    assert names_in(folder) == sorted([*others, ".cam-00000001.jpg.abcdefgh"])
    assert caplog.text.count("which was never finished") == 3


def test_old_metadata_without_a_picture_are_left(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "cam-00000001.json").touch()
    (tmp_path / "pictures" / "cam-00000900.jpg").touch()
    opened(tmp_path)
    assert names_in(tmp_path / "pictures") == ["cam-00000001.json", "cam-00000900.jpg"]
