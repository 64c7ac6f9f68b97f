"""As a program, in a fresh network namespace: a camera here, `cam` in a second namespace, an ethernet between them.

`python cam_elsewhere.py FOLDER` prints what `cam photo` and `cam photo --output` say: [exit code, stdout, stderr] of each.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import waiting
from cam import Cameras
from namespaces import ip

HERE, THERE = "10.78.0.1", "10.78.0.2"


def main(folder: Path) -> None:
    """Set up, ask, tear down."""
    cameras = Cameras(folder, ("far",), control_machines=["LocalHost", "Dome", "Desk"])
    registry = cameras.etc / "observatory"
    (registry / "machines.json").write_text(json.dumps({"Dome": HERE, "Desk": THERE}))
    (registry / "daemons.json").write_text(json.dumps({"camera_far": {"machine": "Dome", "port": 9321}}))
    other = subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE)
    try:
        mine = Path("/proc/self/ns/net").readlink()
        waiting.until(lambda: Path(f"/proc/{other.pid}/ns/net").readlink() != mine, 10, "the second namespace")
        ip("link", "set", "lo", "up")
        ip("link", "add", "here", "type", "veth", "peer", "name", "there", "netns", str(other.pid))
        ip("address", "add", f"{HERE}/24", "dev", "here")
        ip("link", "set", "here", "up")
        ip("address", "add", f"{THERE}/24", "dev", "there", inside=other.pid)
        ip("link", "set", "there", "up", inside=other.pid)
        cameras.start()
        try:
            asked = {"photo": ["photo"], "fetched": ["photo", "--output", "here.jpg"]}
            print(json.dumps({name: _cam(cameras, other.pid, arguments) for name, arguments in asked.items()}))
        finally:
            cameras.close()
    finally:
        other.kill()
        other.communicate()


def _cam(cameras: Cameras, inside: int, arguments: list[str]) -> list[object]:
    command = ["nsenter", "--net", "-t", str(inside), sys.executable, "-m", "observatory_cli.cam", *arguments]
    done = subprocess.run(command, env=cameras.env, cwd=cameras.folder, capture_output=True, text=True, timeout=30, check=False)
    return [done.returncode, done.stdout, done.stderr]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
