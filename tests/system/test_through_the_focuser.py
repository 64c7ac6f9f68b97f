"""The simulated observatory as `make run` starts it: the first camera looks through the focuser."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import observatory
import pytest
import sep
import waiting

SITE = Path(__file__).parents[2] / "observatory_common" / "site"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The packaged site with a focuser and its camera on free ports; yields the environment of its users."""
    etc = tmp_path / "etc"
    names = {"localhost_test": "focuser", "localhost_test1": "camera"}
    for source in [*SITE.glob("focusd*/*.json"), SITE / "camerad" / "cam1.json"]:
        text = source.read_text()
        for old, new in names.items():
            text = text.replace(f'"{old}"', f'"{new}"')
        target = etc / source.relative_to(SITE)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    (etc / "observatory").mkdir()
    (etc / "observatory" / "machines.json").write_text("{}")
    daemons = {name: {"machine": "LocalHost", "port": observatory.free_port()} for name in names.values()}
    (etc / "observatory" / "daemons.json").write_text(json.dumps(daemons))
    env = {**os.environ, "OBSERVATORY_ETC": str(etc), "XDG_STATE_HOME": str(tmp_path / "state"), "HOME": str(tmp_path)}
    with (tmp_path / "log").open("wb") as log:
        running = subprocess.Popen(
            [sys.executable, "-m", "observatory_cli.observatory", "run", "--site", str(etc)],
            env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    yield env
    running.send_signal(signal.SIGINT)
    assert running.wait(30) in (0, 130, 156)
    assert "Traceback" not in (tmp_path / "log").read_text()


def run(env: dict[str, str], *words: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", f"observatory_cli.{words[0]}", *words[1:]]
    return subprocess.run(command, env=env, capture_output=True, timeout=60, check=False)


def star_width(env: dict[str, str]) -> float:
    """The median of the stars' second moments (pixels), in a snapshot."""
    taken = run(env, "cam", "snapshot", "-")
    assert taken.returncode == 0, taken.stderr
    picture = cv2.imdecode(np.frombuffer(taken.stdout, np.uint8), cv2.IMREAD_GRAYSCALE)
    picture = (picture / 255).astype(np.float32) ** 2.2  # light again, without the tone curve
    background = sep.Background(picture)
    stars = sep.extract(picture - background, 5.0, err=background.globalrms, minarea=9)
    assert len(stars) >= 10
    return float(np.median(stars["a"]))


def test_moving_the_focuser_changes_the_width_of_the_stars(site: dict[str, str]) -> None:
    waiting.until(lambda: b"IDLE" in run(site, "cam", "status").stdout, 30, "the camera")
    waiting.until(lambda: run(site, "focus", "confirm", "1", "--yes").returncode == 0, 30, "the focuser")

    def width_at(steps: int) -> float:
        moved = run(site, "focus", "set", "1", str(steps))
        assert moved.returncode == 0, moved.stderr
        run(site, "cam", "snapshot", os.devnull)  # the camera looks at the focuser every 0.2 s, and frames are on their way
        widths: list[float] = []

        def steady() -> bool:
            widths.append(star_width(site))
            return len(widths) > 2 and abs(widths[-1] / widths[-2] - 1) < 0.03

        waiting.until(steady, 30, "a steady width")
        return widths[-1]

    away, sharp, beyond = width_at(-200), width_at(300), width_at(800)
    assert sharp < 0.9 * away
    assert sharp < 0.9 * beyond
    assert away == pytest.approx(beyond, rel=0.2)  # equally far to either side
