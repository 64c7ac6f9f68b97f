"""A camera whose machine has no PyAV: photos work, video is refused and says why."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cameras import FAST, Camerad, done

from observatory_common.errors import CommandFailed

HIDE = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name == "av":
            raise ModuleNotFoundError("No module named 'av'", name="av")
sys.meta_path.insert(0, Hidden())
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name == "av" else found(name, package)
"""


@pytest.fixture
def camerad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Camerad]:
    (tmp_path / "hide").mkdir()
    (tmp_path / "hide" / "sitecustomize.py").write_text(HIDE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "hide"), prepend=":")
    running = Camerad(tmp_path, **FAST)
    running.start()
    yield running
    running.end()


def test_video_is_refused_and_photos_are_taken(camerad: Camerad) -> None:
    with camerad.connect() as camera:
        for ask in (camera.start_video, camera.packets):
            with pytest.raises(CommandFailed, match="needs PyAV, which is not installed here"):
                ask()
        assert camera.report_status()["recording"] in (None, False)
        done(camera, camera.take_photo())
