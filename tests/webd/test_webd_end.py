"""The end of webd, beside a disk that takes its time."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import waiting
import webd

from observatory_webd.store.database import Store
from observatory_webd.store.settings import WebSettings


def test_after_a_good_end_one_file_holds_all(tmp_path: Path) -> None:
    store = Store(tmp_path / "a.sqlite")
    store.open()
    WebSettings(store).set("active", "cam1")
    assert (tmp_path / "a.sqlite-wal").stat().st_size
    store.close()
    waiting.until(lambda: not _ending(), 30, "a slow disk, which `close` does not wait for")
    assert not (tmp_path / "a.sqlite-wal").stat().st_size
    copy = Store(tmp_path / "b.sqlite")
    shutil.copy(tmp_path / "a.sqlite", copy.path)
    copy.open()
    assert WebSettings(copy).get("active") == "cam1"
    copy.close()


def _ending() -> list[threading.Thread]:
    """The threads that close stores."""
    return [thread for thread in threading.enumerate() if thread.name == "store-end"]


def test_to_close_the_store_waits_for_no_writer(tmp_path: Path, machine_lag: Any) -> None:
    store = Store(tmp_path / "a.sqlite")
    store.open()
    writes, may_end = threading.Event(), threading.Event()

    def write() -> None:
        with store.transaction() as connection:
            connection.execute("DELETE FROM settings")
            writes.set()
            assert may_end.wait(30)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert writes.wait(10)
        began = time.monotonic()
        store.close()
        assert time.monotonic() - began < 2 + machine_lag.seconds
    finally:
        may_end.set()
        writer.join(10)
        for thread in _ending():  # which had to wait for the writer, and closes what it used
            thread.join(10)
            assert not thread.is_alive()


#: For LD_PRELOAD: from when the file named in SLOW_FROM is there, a sync takes 25 s.
SLOW_DISK = r"""
#include <stdlib.h>
#include <unistd.h>
#include <sys/syscall.h>
static void take_long(void) { const char *name = getenv("SLOW_FROM"); if (name && !access(name, F_OK)) sleep(25); }
int fsync(int fd) { take_long(); return syscall(SYS_fsync, fd); }
int fdatasync(int fd) { take_long(); return syscall(SYS_fdatasync, fd); }
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_the_end_does_not_wait_for_a_slow_disk(tmp_path: Path, machine_lag: Any) -> None:
    source, library, slow = tmp_path / "slow.c", tmp_path / "slow.so", tmp_path / "slow"
    source.write_text(SLOW_DISK)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source)], check=True, timeout=60)
    web = webd.Webd(tmp_path / "web")
    web.env |= {"LD_PRELOAD": str(library), "SLOW_FROM": str(slow)}
    web.start()
    try:
        web.administrator().close()
        slow.touch()
        began = time.monotonic()
        assert web.terminate() == 0
        assert time.monotonic() - began < 5 + machine_lag.seconds
    finally:
        slow.unlink()
        web.close()
