"""A camera and an ftpd before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import ftp_camera
import ftp_daemon
import observatory
import pytest
import waiting
from cameras import FAST, Camerad


@pytest.fixture
def camera_port() -> int:
    """Where the camera's daemon is, or will be."""
    return observatory.free_port()


@pytest.fixture
def camera(camera_port: int) -> Iterator[ftp_camera.FakeCamera]:
    """A camera that is there."""
    with ftp_camera.serving(camera_port) as camera:
        yield camera


@pytest.fixture
def start(tmp_path: Path, camera_port: int) -> Iterator[Callable[..., ftp_daemon.Ftpd]]:
    """Starts an ftpd with a config; ends it after the test."""
    with ExitStack() as stack:
        yield lambda **config: stack.enter_context(ftp_daemon.daemon(tmp_path / "site", camera_port, **config))


@pytest.fixture
def ftpd(start: Callable[..., Any], camera: ftp_camera.FakeCamera) -> ftp_daemon.Ftpd:
    """An ftpd with the usual config, which has found its camera."""
    ftpd = start()
    waiting.until((ftpd.drop / f"{ftp_daemon.FILE}.default").exists, 20, "the template")
    return ftpd


@pytest.fixture(scope="module")
def camerad(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Camerad]:
    """A simulated camera."""
    camerad = Camerad(tmp_path_factory.mktemp("camera"), **FAST)
    camerad.start()
    yield camerad
    camerad.end()
