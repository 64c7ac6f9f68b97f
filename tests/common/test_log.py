"""The log: one line per record with its fields, and never a reason to wait."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import waiting

PROGRAM = """
import logging, sys, time
from observatory_common import log
handle = log.set_up("focusd@test")
{body}
handle.close()
"""


def run(body: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.format(body=body)], capture_output=True, text=True, timeout=30, check=False, **options
    )


def test_a_line_has_time_level_name_and_fields() -> None:
    done = run('logging.getLogger("x.y").warning("it %s", "moved", extra={"fields": {"steps": 5, "by": "two words"}})')
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z WARNING focusd@test x\.y: it moved steps=5 by='two words'\n", done.stderr
    )


def test_a_line_stays_a_line_whatever_is_in_it() -> None:
    done = run(r'logging.getLogger("x").error("a\nb\r\x1b[31mc", extra={"fields": {"k": "d\ne"}})')
    assert len(done.stderr.splitlines()) == 1
    assert "\x1b" not in done.stderr


def test_a_traceback_is_kept_whole() -> None:
    done = run("try:\n    1 / 0\nexcept ZeroDivisionError:\n    logging.getLogger('x').exception('oh')")
    assert "ZeroDivisionError: division by zero" in done.stderr


def test_a_blocked_reader_holds_nobody_up(tmp_path: Path) -> None:
    """Nobody reads our stderr, its pipe is full: log calls must return at once all the same, and the end must come."""
    marker = tmp_path / "done"
    body = (
        "began = time.monotonic()\n"
        "for n in range(20000):\n    logging.getLogger('x').info('line %d of many, long enough to fill a pipe soon', n)\n"
        f"open({str(marker)!r}, 'w').write(str(time.monotonic() - began))"
    )
    read, write = os.pipe()
    process = subprocess.Popen([sys.executable, "-c", PROGRAM.format(body=body)], stderr=write)
    try:
        waiting.until(marker.exists, 20, "20000 log calls while nobody reads")
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        os.close(read)
        os.close(write)


def test_a_reader_that_has_gone_is_no_reason_to_die() -> None:
    read, write = os.pipe()
    os.close(read)
    body = "for n in range(100):\n    logging.getLogger('x').info('line %d', n)"
    process = subprocess.Popen([sys.executable, "-c", PROGRAM.format(body=body)], stderr=write)
    os.close(write)
    assert process.wait(20) == 0
