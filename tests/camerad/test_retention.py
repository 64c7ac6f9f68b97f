"""Retention: which files go, in which order, and which never do."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

import pytest
from pictures import opened
from small_disk import SmallDisk

from observatory_camerad.outputs.files import FileStore, Group
from observatory_camerad.outputs.retention import Retention
from observatory_common.storage import StateFile

HOUR_S = 3600
MIB = 1 << 20


def filled(folder: Path, count: int, size: int = 10) -> FileStore:
    """Pictures, one an hour, the last just now."""
    store = opened(folder)
    for number in range(1, count + 1):
        store.save(f"{store.next_stem()}.jpg", b"a" * size, {"number": number})
        for path in (folder / "pictures").glob(f"cam-{number:08d}.*"):
            aged(path, (count - number) * HOUR_S)
    return store


def aged(path: Path, age_s: float) -> None:
    os.utime(path, (time.time() - age_s,) * 2)


def pictures(folder: Path) -> list[int]:
    return sorted(int(path.stem[4:]) for path in (folder / "pictures").glob("cam-*.jpg"))


def test_without_rules_nothing_goes(tmp_path: Path) -> None:
    store = filled(tmp_path, 3)
    assert Retention(store, None, None).apply(1 << 60) == []
    assert pictures(tmp_path) == [1, 2, 3]


def test_what_is_too_old_goes_with_all_that_belongs_to_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = filled(tmp_path, 4)
    store.save("cam-00000001.thumb.jpg", b"small", None)
    aged(tmp_path / "pictures" / "cam-00000001.thumb.jpg", 3 * HOUR_S)
    with caplog.at_level(logging.INFO):
        deleted = Retention(store, None, 1.5 * HOUR_S).apply()
    assert deleted == [
        "cam-00000001.jpg",
        "cam-00000001.json",
        "cam-00000001.thumb.jpg",
        "cam-00000002.jpg",
        "cam-00000002.json",
    ]
    assert [file["name"] for file in store.list()] == [f"cam-0000000{n}.{end}" for n in (3, 4) for end in ("jpg", "json")]
    assert caplog.text.count("older than 5400 s") == 5
    assert "cam-00000002.json" in caplog.text
    assert Retention(store, None, 1.5 * HOUR_S).apply() == []


def test_a_clock_that_jumped_takes_not_the_newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = filled(tmp_path, 6)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 365 * 86400)
    assert len(Retention(store, None, 86400, keep_newest=3).apply()) == 6
    assert pictures(tmp_path) == [4, 5, 6]
    Retention(store, 1 << 60, 86400, keep_newest=0).apply()
    assert pictures(tmp_path) == [6]


def test_only_its_own_finished_files_go(tmp_path: Path) -> None:
    store = filled(tmp_path, 3)
    folder = tmp_path / "pictures"
    outside = tmp_path / "outside.jpg"
    outside.write_text("outside")
    others = ["notes.txt", "other-00000001.jpg", "cam-1.jpg", "xcam-00000001.jpg", ".cam-00000002.mp4.part", ".hidden"]
    for name in others:
        (folder / name).write_text(name)
        aged(folder / name, 99 * HOUR_S)
    (folder / "cam-00000000.jpg").symlink_to(outside)
    (folder / "cam-00000000").mkdir()
    Retention(store, 1 << 60, 0.1).apply()
    left = {path.name for path in folder.iterdir()}
    kept = {f"cam-0000000{n}.{end}" for n in (2, 3) for end in ("jpg", "json")}  # number 2 is being recorded, 3 is the newest
    assert left == {*others, *kept, "cam-00000000.jpg", "cam-00000000"}
    assert outside.read_text() == "outside"


def test_oldest_first_and_only_until_there_is_room(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with SmallDisk(tmp_path, 60) as small:
        store = filled(small.path, 10, 4 * MIB)
        for number in range(1, 11):  # the order is that of the numbers, whatever the clock said
            aged(small.path / "pictures" / f"cam-{number:08d}.jpg", number * HOUR_S)
        retention = Retention(store, 25 * MIB, None)
        with caplog.at_level(logging.INFO):
            assert retention.apply() == [f"cam-0000000{n}.{end}" for n in (1, 2) for end in ("jpg", "json")]
        assert "deleted cam-00000001.jpg: to have 26214400 bytes (25.0 MiB) free; there were 2" in caplog.text
        assert retention.apply() == []
        assert len(retention.apply(needed_bytes=8 * MIB)) == 4
        assert pictures(small.path) == [5, 6, 7, 8, 9, 10]
        assert small.free() >= 33 * MIB


def test_retention_frees_a_full_disk_for_the_next_picture(tmp_path: Path) -> None:
    with SmallDisk(tmp_path, 60) as small:
        store = filled(small.path, 8, 4 * MIB)
        filler = small.fill()
        assert small.free() == 0
        Retention(store, 16 * MIB, None).apply(needed_bytes=5 * MIB)
        store.require_room(4 * MIB)
        store.save(f"{store.next_stem()}.jpg", b"b" * 4 * MIB, {})
        assert pictures(small.path) == [7, 8, 9]
        assert filler.exists()


def test_it_says_so_if_it_cannot_make_room(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = filled(tmp_path, 3)
    Retention(store, 1 << 60, None).apply()
    assert pictures(tmp_path) == [3]
    assert "no more files to delete" in caplog.text


def test_space_that_comes_back_late_is_not_asked_for_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = filled(tmp_path, 10, MIB)
    monkeypatch.setattr(FileStore, "free_bytes", lambda _: 0)
    assert len(Retention(store, int(1.5 * MIB), None).apply()) == 4


class _Counting(FileStore):
    """Counts how often the folder is looked through; as much is free as is said."""

    scans = 0
    free = 0

    def groups(self) -> tuple[Group, ...]:
        self.scans += 1
        return super().groups()

    def free_bytes(self) -> int:
        return self.free


def counting(folder: Path, count: int) -> _Counting:
    filled(folder, count)
    return _Counting(folder / "pictures", "cam", StateFile(folder / "counter.json"))


def test_with_room_a_shot_does_not_look_through_the_folder(tmp_path: Path) -> None:
    store = counting(tmp_path, 4)
    store.free = 1 << 40
    retention = Retention(store, 1 << 30, 1.5 * HOUR_S)
    assert retention.apply(1 << 20) == []
    assert store.scans == 0
    assert len(retention.apply()) == 4  # what is too old
    assert store.scans == 1


def test_a_shot_without_room_looks_through_the_folder_once_for_many(tmp_path: Path) -> None:
    store = counting(tmp_path, 6)
    store.free = 20 * MIB
    retention = Retention(store, 20 * MIB, None)
    for number in (1, 2, 3):
        assert retention.apply(1) == [f"cam-0000000{number}.jpg", f"cam-0000000{number}.json"]
    assert store.scans == 1
    store.delete(["cam-00000005.jpg", "cam-00000006.jpg"])  # number 4 has become the newest
    assert retention.apply(1) == []
    assert pictures(tmp_path) == [4]


def test_ten_thousand_files_are_quick(tmp_path: Path) -> None:
    store = opened(tmp_path)
    for number in range(1, 5001):
        for prefix in ("cam", "other"):
            (tmp_path / "pictures" / f"{prefix}-{number:08d}.jpg").touch()
    for number in range(1, 4001):
        aged(tmp_path / "pictures" / f"cam-{number:08d}.jpg", HOUR_S)
    began = time.monotonic()
    assert len(Retention(store, None, HOUR_S / 2).apply()) == 4000
    assert time.monotonic() - began < 20
    assert len(store.list()) == 6000
