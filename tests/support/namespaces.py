"""As a program, in a fresh network namespace: a second one beside it, an ethernet between them, a daemon here, callers there.

`python namespaces.py FOLDER` prints {source address: outcomes of a view call, a control call and a batched control call}.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import waiting

HERE, MACHINES = "10.77.0.1", {"Dome": ["10.77.0.2", "fd77::2"], "Guest": ["10.77.0.3", "fd77::3"]}
SOURCES = ["10.77.0.2", "10.77.0.3", "10.77.0.4", "fd77::2", "fd77::3", "fd77::4"]
CALLS = [["call", "report_status", []], ["call", "add", [1]], ["batch", "add", [1]]]


def ip(*arguments: str, inside: int | None = None) -> None:
    """Run ip, here or in the other namespace."""
    prefix = [] if inside is None else ["nsenter", "--net", "-t", str(inside)]
    subprocess.run([*prefix, "ip", *arguments], check=True)


def main(folder: Path) -> None:
    """Set up, ask, tear down."""
    import fakedaemon

    other = subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE)
    try:
        mine = Path("/proc/self/ns/net").readlink()
        waiting.until(lambda: Path(f"/proc/{other.pid}/ns/net").readlink() != mine, 10, "the second namespace")
        ip("link", "set", "lo", "up")
        ip("link", "add", "here", "type", "veth", "peer", "name", "there", "netns", str(other.pid))
        ip("address", "add", f"{HERE}/24", "dev", "here")
        ip("address", "add", "fd77::1/64", "dev", "here", "nodad")
        ip("link", "set", "here", "up")
        for source in SOURCES:
            wide = [f"{source}/64", "dev", "there", "nodad"] if ":" in source else [f"{source}/24", "dev", "there"]
            ip("address", "add", *wide, inside=other.pid)
        ip("link", "set", "there", "up", inside=other.pid)
        print(json.dumps({source: _ask(folder, source, other.pid, fakedaemon) for source in SOURCES}))
    finally:
        other.kill()
        other.communicate()


def _ask(folder: Path, source: str, inside: int, fakedaemon) -> list:
    host = "fd77::1" if ":" in source else HERE
    settings = {"machines": MACHINES, "control": ["Dome"], "view": ["Guest"], "host": host}
    with fakedaemon.running(folder, **settings) as daemon:
        program = (
            "import json, sys; sys.path.insert(0, sys.argv[1]); import rawclient;"
            "host, port, name, calls, source = sys.argv[2:];"
            "print(json.dumps(rawclient.outcomes(host, int(port), name, json.loads(calls), source)))"
        )
        arguments = [str(Path(__file__).parent), host, str(daemon.port), fakedaemon.OBJECT, json.dumps(CALLS), source]
        command = ["nsenter", "--net", "-t", str(inside), sys.executable, "-c", program, *arguments]
        return json.loads(subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
