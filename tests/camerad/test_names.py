"""Names of files: patterns, what they recognise, and numbers that are never given twice."""

from __future__ import annotations

import json
import logging
import os
import threading
from pathlib import Path

import pytest
from pictures import names_in, opened, save_one

from observatory_camerad.outputs.files import FileStore, NoRoom
from observatory_camerad.outputs.names import FilePattern
from observatory_common.errors import CommandFailed, InvalidConfig
from observatory_common.storage import StateFile

START_NS = 1_800_000_000_123_456_789  # 2027-01-15 08:00:00.123456 UTC


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return opened(tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{prefix}-{count:08d}", "cam.1-00000042"),
        ("{prefix}_{date:%Y%m%d_%H%M%S}_{count:06d}", "cam.1_20270115_080000_000042"),
        ("{date:%Y-%j-%H.%M.%S.%f}-{camera}-{kind}-{count}", "2027-015-08.00.00.123456-east-raw-42"),
        ("IMG{count:04d}", "IMG0042"),
        ("{count:012d}_{prefix}", "000000000042_cam.1"),
    ],
)
def test_a_pattern_makes_names_and_knows_them_again(text: str, expected: str) -> None:
    pattern = FilePattern(text, "cam.1", "east")
    assert pattern.stem(42, "raw", START_NS) == expected
    for ending in (".jpg", ".json", ".thumb.jpg"):
        assert pattern.match(expected + ending) == (expected, 42)
    for stranger in (
        expected,
        f"x{expected}.jpg",
        f"{expected}x.jpg",
        f"{expected}.jpg\n",
        f"0{expected}.jpg",
        f"{expected}/.jpg",
    ):
        assert pattern.match(stranger) is None, stranger
    assert FilePattern(text, "cam", "west").match(expected + ".jpg") is None or "prefix" not in text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{prefix}", "must hold {count} once"),
        ("{count}-{count}", "must hold {count} once"),
        ("", "must hold {count} once"),
        ("{count!r}", "conversion !r"),
        ("{prefix.__class__}{count}", "no field 'prefix.__class__'"),
        ("{prefix[0]}{count}", "no field"),
        ("{0}{count}", "no field '0'"),
        ("{}{count}", "no field ''"),
        ("{count:{prefix}}", "format"),
        ("{count:8d}", "format '8d'"),
        ("{count:x}", "format 'x'"),
        ("{count:0999d}", "format"),
        ("{count} a", "it gives"),
        ("../{count}", "it gives"),
        ("{date:%Y/%m}{count}", "it gives"),
        ("{date:%c}-{count}", "format '%c'"),
        ("{date}-{count}", "format ''"),
        ("{prefix:>900}{count}", "format"),
        (".{count}", "begin with a dot"),
        ("{count}" + "a" * 120, "more than 120 characters"),
        ("{date:%S}{count}", "a digit stands beside the count"),
        ("{count}0", "a digit stands beside the count"),
        ("{count", "expected '}'"),
        ("{{{count}}}", "it gives"),
    ],
)
def test_a_pattern_that_cannot_work_is_refused_by_the_config(text: str, why: str) -> None:
    with pytest.raises(InvalidConfig) as refused:
        FilePattern(text)
    assert why in str(refused.value)
    assert "{count}" in refused.value.allowed


def test_two_cameras_in_one_folder_know_their_own() -> None:
    one, other = FilePattern(prefix="cam"), FilePattern(prefix="cam-1")
    name = other.stem(7) + ".jpg"
    assert (one.match(name), other.match(name)) == (None, ("cam-1-00000007", 7))


# numbers


def test_numbers_go_on_over_restarts_and_lost_files(tmp_path: Path) -> None:
    first = [save_one(opened(tmp_path)) for _ in range(3)]
    assert first == ["cam-00000001.jpg", "cam-00000002.jpg", "cam-00000003.jpg"]
    for path in (tmp_path / "pictures").iterdir():
        path.unlink()
    assert opened(tmp_path).next_stem() == "cam-00000004"


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"count": "7"}', '{"count": -1}', '{"count": 1e99}', "{}", '{"count": true}']
)
def test_a_corrupt_counter_falls_back_to_the_files_and_says_so(
    content: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = opened(tmp_path)
    for _ in range(3):
        save_one(store)
    (tmp_path / "counter.json").write_text(content)
    with caplog.at_level(logging.ERROR):
        assert opened(tmp_path).next_stem() == "cam-00000004"
    assert "numbers go on after the highest among the files" in caplog.text
    assert json.loads((tmp_path / "counter.json").read_text()) == {"count": 4}


def test_a_lost_counter_is_made_up_for_in_every_folder_that_is_used(tmp_path: Path) -> None:
    store = opened(tmp_path, roots=(tmp_path,))
    (tmp_path / "usb").mkdir()
    folder = store.folder(str(tmp_path / "usb"))
    (folder / "cam-00000031.jpg").touch()
    assert store.next_stem() == "cam-00000001"
    assert store.next_stem(folder=folder) == "cam-00000032"


def test_a_number_is_not_given_if_it_cannot_be_remembered(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    assert store.next_stem() == "cam-00000001"
    with monkeypatch.context() as patch:

        def fail(*_: object) -> None:
            raise OSError(28, "No space left on device")

        patch.setattr(StateFile, "save", fail)
        with pytest.raises(NoRoom, match="no room in"):
            store.next_stem()
    assert store.next_stem() == "cam-00000002"


def test_a_thousand_saves_of_four_threads_collide_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)  # not what is tried here
    store = opened(tmp_path)
    names: list[str] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(250):
                names.append(save_one(store, threading.current_thread().name.encode()))
        except CommandFailed as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failed
    assert sorted(names) == [f"cam-{number:08d}.jpg" for number in range(1, 1001)]
    assert len(names_in(tmp_path / "pictures")) == 2000
