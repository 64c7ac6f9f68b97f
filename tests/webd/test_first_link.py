"""The one-time link: how long it lasts, and on a disk that fails, where nothing ends because of it, and it is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import waiting
import webd
from small_disk import SmallDisk

from observatory_common.errors import CommandFailed
from observatory_webd.accounts import first
from observatory_webd.accounts.first import FirstLink
from observatory_webd.accounts.identity import Role
from observatory_webd.accounts.users import Users
from observatory_webd.store.database import Store


@pytest.fixture
def users(tmp_path: Path) -> Iterator[Users]:
    """Nobody yet, in a store on a disk that is well."""
    store = Store(tmp_path / "webd.sqlite")
    store.open()
    yield Users(store)
    store.close()


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallDisk]:
    """The disk of the link, which is looked at every time."""
    monkeypatch.setattr(first, "_EVERY_S", 0.0)
    (tmp_path / "small").mkdir()
    with SmallDisk(tmp_path / "small", 1) as found:
        yield found


def test_a_read_only_disk_without_a_link_is_no_matter(users: Users, disk: SmallDisk) -> None:
    users.add("anna", Role.administrator, "hash", False)
    link = FirstLink(users, disk.path / "first", "http://localhost")
    link.prepare()
    disk.make_read_only()
    link.refresh()
    assert not link.wanted


def test_a_link_that_cannot_be_removed_is_told_and_good_for_nothing(users: Users, disk: SmallDisk) -> None:
    link = FirstLink(users, disk.path / "first", "http://localhost")
    link.prepare()
    token = _token(link)
    assert link.fits(token)
    disk.make_read_only()
    users.add("anna", Role.administrator, "hash", False)
    link.used()
    assert not link.wanted and not link.fits(token)
    for _ in range(2):
        with pytest.raises(CommandFailed, match="first cannot be removed: Read-only file system"):
            link.refresh()


def test_a_link_that_cannot_be_written_is_none(users: Users, disk: SmallDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    link = FirstLink(users, disk.path / "first", "http://localhost")
    disk.make_read_only()
    for _ in range(2):
        with pytest.raises(CommandFailed, match="first cannot be written: Read-only file system"):
            link.prepare()
        assert not link.wanted


def test_a_link_lasts_a_day_and_another_follows(users: Users, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(monotonic=lambda: now_s)
    monkeypatch.setattr(first, "time", clock)
    now_s = 1000.0
    link = FirstLink(users, tmp_path / "first", "http://localhost")
    link.prepare()
    token = _token(link)
    now_s += 86400 - 1
    link.refresh()
    assert link.fits(token) and _token(link) == token
    now_s += 2
    assert not link.fits(token)
    now_s += 60  # so often it is looked at
    link.refresh()
    assert link.wanted and link.fits(_token(link)) and not link.fits(token)


def _token(link: FirstLink) -> str:
    return link.file.read_text().split("token=")[1].strip()


class OnSmallDisk(webd.Webd):
    """A webd with its state on a small disk, where it runs."""

    def __init__(self, folder: Path, disk: SmallDisk, mount_point: Path) -> None:
        super().__init__(folder, state_path=str(mount_point / "state"))
        self.state_folder = disk.path / "state"
        self._holder = disk.path.parts[2]

    def spawn(self, command: list[str]) -> None:
        """Start it there."""
        super().spawn(["nsenter", "--mount", "-t", self._holder, "--", *command])


def test_webd_goes_on_with_a_link_that_it_cannot_remove(tmp_path: Path) -> None:
    mount_point = tmp_path / "small"
    mount_point.mkdir()
    with SmallDisk(mount_point, 8) as disk:
        web = OnSmallDisk(tmp_path / "web", disk, mount_point)
        web.start()
        try:
            disk.cover(mount_point / "state")
            web.administrator().close()
            with web.connect() as remote:
                told = "first-administrator cannot be removed: Read-only file system"
                waiting.until(lambda: told in (remote.report_status()["last_error"] or ""), 20, "it to be told")
                assert remote.report_status()["needs_first_administrator"] is False
            with web.browser() as browser:
                browser.log_in(webd.ADMINISTRATOR)
        finally:
            web.close()
        assert web.log().count(told) == 1
