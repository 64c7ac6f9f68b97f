"""What is noted of uploads, so that a crash loses none: in the test's process, with an applier that only writes down."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
import waiting

from observatory_common.access import Caller
from observatory_common.audit import Audit
from observatory_common.jobs import JobTable
from observatory_common.storage import StateFile
from observatory_ftpd.drop import Drop, Incoming
from observatory_ftpd.ftp.services import Sender
from observatory_ftpd.intake import Intake
from observatory_ftpd.uploads import Ledger, Upload

FILE = "config.json"
SENDER = Sender("dropper", Caller("127.0.0.1", frozenset({"LocalHost"}), frozenset()))


class Parts:
    """An intake, and what it hands over."""

    CONTENT = b'{"section": {"gain": %d}}'

    def __init__(self, folder: Path) -> None:
        self.note = folder / "upload.json"
        self.drop = Drop(folder / "drop", FILE, 10_000_000, 100, 10)
        self.drop.open()
        self.ledger = Ledger(self.drop, StateFile(self.note))
        self.submitted: list[Upload] = []
        applier: Any = self
        audit = Audit()
        jobs = JobTable("boot")
        self.intake = Intake(self.drop, "section", self.ledger, applier, jobs, audit, lambda name, data: None)

    def submit(self, upload: Upload) -> None:
        """As the applier's."""
        self.submitted.append(upload)

    def incoming(self, gain: int, name: str = FILE) -> Incoming:
        """A complete configuration."""
        made = self.drop.receive(name, lambda reply: None)
        made.write(self.CONTENT % gain)
        made.complete()
        made.close()
        return made


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    """An intake with its folder."""
    return Parts(tmp_path)


def test_the_note_is_there_before_the_file(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    noted, replace = [], os.replace

    def watched(source: Any, target: Any) -> None:
        if Path(target).name == FILE:
            noted.append(parts.note.exists())
        replace(source, target)

    monkeypatch.setattr(os, "replace", watched)
    assert parts.intake.take(parts.incoming(1), SENDER).startswith("226")
    assert noted == [True]
    assert parts.ledger.kept() == str(SENDER)


def test_a_file_that_could_not_be_put_there_leaves_no_note(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(source: Any, target: Any) -> None:
        if Path(target).name == FILE:
            raise OSError(28, "No space left on device")
        moved(source, target)

    moved = os.replace
    monkeypatch.setattr(os, "replace", fails)
    assert parts.intake.take(parts.incoming(1), SENDER).startswith("452")
    assert not parts.note.exists() and parts.submitted == []


@pytest.mark.parametrize("name", [FILE, "notes"])
@pytest.mark.parametrize("removal", ["works", "fails too"])
def test_a_file_that_is_there_but_may_not_outlive_a_loss_of_power_is_told_as_that(
    name: str, removal: str, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sync_fails(descriptor: int) -> None:
        if os.path.samestat(os.fstat(descriptor), parts.drop.folder.stat()):
            raise OSError(5, "Input/output error")
        synced(descriptor)

    def unlink_fails(path: Path, missing_ok: bool = False) -> None:
        if path.parent == parts.drop.folder:
            raise OSError(30, "Read-only file system")
        unlinked(path, missing_ok)

    incoming, synced, unlinked = parts.incoming(7, name), os.fsync, Path.unlink
    monkeypatch.setattr(os, "fsync", sync_fails)
    if removal == "fails too":  # as on a disk that has become read-only by the first failure
        monkeypatch.setattr(Path, "unlink", unlink_fails)
    reply = parts.intake.take(incoming, SENDER)
    assert reply.startswith(f"226 {name}")
    assert reply.endswith("It may not outlive a loss of power: Input/output error.")
    assert (parts.drop.folder / name).read_bytes() == parts.CONTENT % 7
    # What lies there is what the camera gets, also after a restart.
    assert [upload.section["gain"] for upload in parts.submitted] == ([7] if name == FILE else [])
    assert parts.ledger.kept() == (str(SENDER) if name == FILE else None)
    assert parts.drop.usage().other_files == (0 if name == FILE else 1)


def test_another_file_and_its_name_are_on_the_disk_before_it_is_acknowledged(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, bool]] = []
    sync = os.fsync

    def watched(descriptor: int) -> None:
        sync(descriptor)
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        synced.append((kind, (parts.drop.folder / "notes").exists()))

    monkeypatch.setattr(os, "fsync", watched)
    made = parts.drop.receive("notes", lambda reply: None)
    made.complete()
    made.close()
    parts.drop.take_other(made)
    assert synced == [("file", False), ("folder", True)]


def test_the_note_stands_until_the_last_one_has_ended(parts: Parts) -> None:
    first, second = parts.ledger.keep("a"), parts.ledger.keep("b")
    parts.ledger.done(first)  # it ends after the next has been noted, and before that is handed over
    assert parts.ledger.kept() == "b"
    parts.ledger.done(second)
    assert parts.ledger.kept() is None


def test_what_is_handed_over_last_is_what_lies_there(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    parts.intake.take(parts.incoming(1), SENDER)
    go, take_config = threading.Event(), parts.drop.take_config

    def slow(*arguments: Any) -> None:
        assert go.wait(10)
        take_config(*arguments)

    monkeypatch.setattr(parts.drop, "take_config", slow)
    taking = threading.Thread(target=parts.intake.take, args=(parts.incoming(2), SENDER))
    retrying = threading.Thread(target=parts.intake.apply_again, args=("retry",))
    taking.start()
    # The second would read the old file now, and hand it over after the new one.
    waiting.until(parts.intake._order.locked, 5, "the upload to be under way")
    retrying.start()
    go.set()
    taking.join(10)
    retrying.join(10)
    assert [upload.section["gain"] for upload in parts.submitted] == [1, 2, 2]
