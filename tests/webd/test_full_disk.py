"""A full disk: who is at the telescope then still logs in and out, and all that goes with it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import webd
from small_disk import SmallDisk

SECOND = "another long password"


class OnSmallDisk(webd.Webd):
    """A webd with its state on a small disk."""

    def __init__(self, folder: Path, disk: SmallDisk, mount_point: Path) -> None:
        super().__init__(folder, state_path=str(mount_point / "state"))
        self.state_folder = disk.path / "state"
        self._holder = disk.path.parts[2]

    def spawn(self, command: list[str]) -> None:
        """Start it where the disk is seen."""
        super().spawn(["nsenter", "--mount", "-t", self._holder, "--", *command])


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """8 MiB."""
    (tmp_path / "small").mkdir()
    with SmallDisk(tmp_path / "small", 8) as found:
        yield found


def test_one_logs_in_and_out_on_a_full_disk(tmp_path: Path, disk: SmallDisk) -> None:
    web = OnSmallDisk(tmp_path / "web", disk, tmp_path / "small")
    web.start()
    try:
        before = web.administrator()
        disk.fill()
        with before, web.browser() as browser:
            for _ in range(60):  # more than the reserve would hold if nothing of it were used again
                browser.log_in(webd.ADMINISTRATOR)
            cookies = dict(browser.cookies)
            browser.post("/api/v1/session/end", json={}).raise_for_status()
            with web.browser(cookies=cookies) as after:
                assert after.get("/api/v1/session").status_code == 401, "the login has ended"
            browser.log_in(webd.ADMINISTRATOR)
            changed = browser.post("/api/v1/password", json={"present": webd.PASSWORD, "new": SECOND})
            browser.remember(changed)
            assert before.get("/api/v1/session").status_code == 401, "another password ends the other logins"
            assert browser.get("/api/v1/session").status_code == 200
        assert web.terminate() == 0
        (disk.path / "filler.bin").unlink()
        web.start()
        with web.browser(cookies=cookies) as after:
            assert after.get("/api/v1/session").status_code == 401, "it stays ended"
            after.log_in(webd.ADMINISTRATOR, SECOND)
    finally:
        web.close()


SCRIPT = """
import sys
from pathlib import Path
from observatory_common.errors import NoRoom
from observatory_webd.store.database import Store

path, size = Path(sys.argv[1]), int(sys.argv[2])
insert = "INSERT OR REPLACE INTO settings (name, value) VALUES ('a', ?)"
store = Store(path)
store.open()
print("open", flush=True)
input()  # now the disk is full
for number in range(1000):
    store.write(insert, f"{number} ".ljust(20_000))
try:
    store.write(insert, "x" * size)
    print("room")
except NoRoom as error:
    print("no room")
store.write(insert, "still")
print(store.row("SELECT value FROM settings")["value"], store.failure)
store.close()
"""


def test_the_reserve_holds_and_has_an_end(tmp_path: Path, disk: SmallDisk) -> None:
    """SQLite takes the path of a disk apart, so its process has to be where the disk is mounted."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = ["nsenter", "--mount", "-t", disk.path.parts[2], "--", sys.executable, "-c", SCRIPT]
    for size, told in ((300_000, "room"), (6 << 20, "no room")):
        (disk.path / "filler.bin").unlink(missing_ok=True)
        process = subprocess.Popen(
            [*command, str(tmp_path / "small" / "webd.sqlite"), str(size)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=env,
        )
        assert process.stdout.readline() == "open\n"
        disk.fill()
        answer, _ = process.communicate("\n", timeout=60)
        assert (process.returncode, answer) == (0, f"{told}\nstill None\n")
