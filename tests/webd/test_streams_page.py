"""The page's part of the live view, live.js, on messages that a real server has sent; in Node, which has no pictures."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path

import playwright
from cameras import Camerad
from streaming import LiveSocket, StreamServer

import observatory_webd

CASES = Path(__file__).with_name("live_view.mjs")
LIVE_JS = Path(observatory_webd.__file__).with_name("static") / "kit" / "live.js"


def test_live_view(tmp_path: Path) -> None:
    node = shutil.which("node") or Path(playwright.__file__).parent / "driver" / "node"  # the one that Playwright brings
    camerad = Camerad(tmp_path)
    camerad.start()
    try:
        with StreamServer({"cam": camerad.connect}) as server:
            recorded = {codec: _recorded(server.port, codec) for codec in ("jpeg", "h264")}
    finally:
        camerad.end()
    (tmp_path / "recorded").write_text(json.dumps(recorded))
    env = {**os.environ, "LIVE_JS": str(LIVE_JS), "RECORDED": str(tmp_path / "recorded")}
    done = subprocess.run([node, "--test", str(CASES)], env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _recorded(port: int, codec: str, count: int = 5) -> dict[str, object]:
    """The text message and the binary ones, in base64, of a stream."""
    text, binary = None, []
    with LiveSocket(port, f"/api/v1/cameras/cam/streams/live/ws?codec={codec}") as live:
        while len(binary) < count:
            kind, payload = live.frame()
            if kind == 1:
                text = payload.decode()
            elif kind == 2:
                binary.append(base64.b64encode(payload).decode())
    return {"text": text, "binary": binary}
