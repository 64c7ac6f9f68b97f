"""Files of pictures: written whole, read in pieces, deleted with what belongs to them, and nobody else's touched."""

from __future__ import annotations

import hashlib
import json
import os
import random
from pathlib import Path

import numpy as np
import pytest
from pictures import names_in, opened, save_one

from observatory_camerad.outputs import digests
from observatory_camerad.outputs.files import FileStore
from observatory_camerad.outputs.names import checked_folder
from observatory_common.errors import CommandFailed, InvalidArgument


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return opened(tmp_path)


# saving


def test_metadata_become_strict_json(store: FileStore, tmp_path: Path) -> None:
    metadata = {
        "nan": float("nan"),
        "infinite": np.float32("inf"),
        "number": np.int64(7),
        "half": np.float32(0.5),
        "array": np.array([[1.0, float("nan")]]),
        "crop": (1, 2, 3, 4),
        "bytes": b"\x00\xff",
        "flag": np.bool_(True),
        "inner": {5: {"ü": None}},
        "other": Path("/x"),
    }
    store.save("cam-00000001.png", b"x", metadata)

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    found = json.loads((tmp_path / "pictures" / "cam-00000001.json").read_text(), parse_constant=refuse)
    assert found == {
        "nan": None,
        "infinite": None,
        "number": 7,
        "half": 0.5,
        "array": [[1.0, None]],
        "crop": [1, 2, 3, 4],
        "bytes": "00ff",
        "flag": True,
        "inner": {"5": {"ü": None}},
        "other": "/x",
    }


def test_a_picture_that_fails_leaves_nothing(store: FileStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from observatory_camerad.outputs import files

    write = files.write_atomic

    def fail_at_the_picture(path: Path, data: bytes) -> None:
        if path.suffix == ".dng":
            raise OSError(5, "Input/output error")
        write(path, data)

    monkeypatch.setattr(files, "write_atomic", fail_at_the_picture)
    with pytest.raises(CommandFailed, match="cannot be written: Input/output error"):
        store.save("cam-00000001.dng", b"raw", {})
    assert names_in(tmp_path / "pictures") == []
    store.save("cam-00000002.jpg", b"picture", {"a": 1})
    with pytest.raises(CommandFailed):
        store.save("cam-00000002.dng", b"raw", {"a": 1})
    assert names_in(tmp_path / "pictures") == ["cam-00000002.jpg", "cam-00000002.json"]


def test_what_another_daemon_writes_is_not_tidied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock is the folder's, so another opening of it in this process is as good as one in another's."""
    from observatory_camerad.outputs import files

    write, tidied = files.write_atomic, []

    def is_picture(name: str) -> bool:
        return name.startswith("photo_") and name.endswith(".jpg")

    def watched(path: Path, data: bytes) -> None:
        half = path.with_name(f".{path.name}.abcdefgh")
        half.touch()
        tidied.append(files.tidy(tmp_path, is_picture))
        half.unlink()
        write(path, data)

    monkeypatch.setattr(files, "write_atomic", watched)
    files.save(tmp_path, "photo_1.jpg", b"picture", {})
    assert tidied == [False, False] and names_in(tmp_path) == ["photo_1.jpg", "photo_1.json"]
    (tmp_path / ".photo_2.jpg.abcdefgh").touch()
    (tmp_path / "photo_2.json").touch()
    assert files.tidy(tmp_path, is_picture)
    assert names_in(tmp_path) == ["photo_1.jpg", "photo_1.json"]


def test_nothing_is_written_over(store: FileStore, tmp_path: Path) -> None:
    store.save("cam-00000001.jpg", b"old", {})
    with pytest.raises(CommandFailed, match=r"cam-00000001\.jpg exists already"):
        store.save("cam-00000001.jpg", b"new", {})
    assert (tmp_path / "pictures" / "cam-00000001.jpg").read_bytes() == b"old"


@pytest.mark.parametrize("name", ["../x.jpg", "/x.jpg", ".x.jpg", "", "a" * 151, "x.part", "x\0.jpg"])
def test_a_name_that_leads_elsewhere_is_not_written(name: str, store: FileStore) -> None:
    with pytest.raises(CommandFailed, match="is no name for a file"):
        store.save(name, b"", {})


def test_folders_inside_the_roots_alone(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "night").mkdir(parents=True)
    (root / "file").touch()
    (tmp_path / "rootless").mkdir()
    (root / "out").symlink_to(tmp_path / "rootless")
    (root / "in").symlink_to(root / "night")
    (root / "loop").symlink_to(root / "loop")
    store = opened(tmp_path, roots=(root,))
    assert store.folder(None) == tmp_path / "pictures"
    assert store.folder(str(root / "night")) == store.folder(str(root / "in")) == root / "night"
    bad = [
        "",
        "night",
        f"{root}/../rootless",
        f"{root}/night/..",
        f"{root}/out",
        f"{root}/file",
        f"{root}/loop",
        f"{root}/none",
    ]
    for folder in [*bad, f"{root}/a\0b", f"{root}/\ud800", f"{tmp_path}/rootless", "/", 5, b"/", ["/"], "/" + "a" * 5000]:
        with pytest.raises(InvalidArgument) as refused:
            store.folder(folder)
        assert f"an existing folder inside {root}" in refused.value.allowed
    with pytest.raises(InvalidArgument, match="no folder: the config names none"):
        checked_folder(str(root), ())
    folder = store.folder(str(root / "night"))
    store.save(f"{store.next_stem(folder=folder)}.jpg", b"x", {}, folder)
    assert names_in(folder) == ["cam-00000001.jpg", "cam-00000001.json"]
    assert store.list() == []


# reading and deleting


def test_a_big_file_is_read_in_pieces_and_digested_once(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    data = random.Random(1).randbytes((2 << 20) + 17)
    name = save_one(store, data)
    whole: list[object] = []
    digest = hashlib.file_digest

    def counted(file: object, algorithm: str) -> object:
        whole.append(file)
        return digest(file, algorithm)

    monkeypatch.setattr(digests.hashlib, "file_digest", counted)
    found, answers = b"", []
    while not answers or not answers[-1].value["eof"]:
        answers.append(store.read(name, len(found)))
        found += answers[-1].data
    assert found == data
    assert [answer.value["sha256"] for answer in answers] == [None, None, hashlib.sha256(data).hexdigest()]
    assert store.read(name, 2 << 20).value["sha256"] == hashlib.sha256(data).hexdigest()
    assert not whole
    other = save_one(store, data + b"x")
    for offset in (len(data), len(data), 10**18):
        assert store.read(other, offset).value["sha256"] == hashlib.sha256(data + b"x").hexdigest()
    assert len(whole) == 1


def test_a_file_that_changed_has_another_digest(store: FileStore, tmp_path: Path) -> None:
    name = save_one(store, b"one")
    before = store.read(name, 0).value["sha256"]
    (tmp_path / "pictures" / name).write_bytes(b"two")
    os.utime(tmp_path / "pictures" / name, ns=(1, 1))
    assert store.read(name, 0).value["sha256"] == hashlib.sha256(b"two").hexdigest() != before


def test_only_regular_files_of_the_folder_are_read_and_deleted(store: FileStore, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    name = save_one(store)
    (tmp_path / "secret").write_text("secret")
    (folder / "link.jpg").symlink_to(tmp_path / "secret")
    (folder / "folder.jpg").mkdir()
    os.mkfifo(folder / "pipe.jpg")
    (folder / "x.part").touch()
    (folder / ".hidden").touch()
    before = names_in(folder)
    assert [file["name"] for file in store.list()] == [name, name.replace("jpg", "json")]
    bad = [
        "link.jpg",
        "folder.jpg",
        "pipe.jpg",
        "x.part",
        ".hidden",
        "../secret",
        str(tmp_path / "secret"),
        ".",
        "",
        f"{name}\0",
        5,
    ]
    for wrong in bad:
        with pytest.raises(InvalidArgument, match="there is no file"):
            store.read(wrong, 0)
        with pytest.raises(InvalidArgument, match="there is no file"):
            store.delete([name, wrong])
    for wrong in ([], "x", None, [name] * 1001):
        with pytest.raises(InvalidArgument, match="expected a list of 1 to 1000 names"):
            store.delete(wrong)
    assert names_in(folder) == before


def test_what_belongs_to_a_picture_goes_with_the_last_of_its_files(store: FileStore, tmp_path: Path) -> None:
    for ending, metadata in (("dng", {}), ("jpg", {}), ("thumb.jpg", {})):
        store.save(f"cam-00000001.{ending}", b"12345", metadata)
    (tmp_path / "pictures" / "notes.txt").touch()
    (tmp_path / "pictures" / "notes.json").touch()
    assert store.delete(["cam-00000001.jpg", "notes.txt", "notes.txt"]) == {
        "deleted": ["cam-00000001.jpg", "notes.txt"],
        "bytes": 5,
    }
    done = store.delete(["cam-00000001.dng"])
    assert sorted(done["deleted"]) == ["cam-00000001.dng", "cam-00000001.json", "cam-00000001.thumb.jpg"]
    assert done["bytes"] == 5 + 5 + 2
    assert [file["name"] for file in store.list()] == ["notes.json"]
