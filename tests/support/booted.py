"""A real systemd, booted from this machine's own root in an overlay that is thrown away: `with booted(...) as machine`.

By systemd-nspawn, else by unshare and pivot_root. What runs in it is no child of the tests: a supervisor owns it, in a mount
namespace of its own, and ends it when its input ends, which the kernel sees to also when the tests are killed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import waiting

BOOT_S = 60.0
POWER_OFF_S = 30.0
HOWS = ("nspawn", "unshare") if shutil.which("systemd-nspawn") else ("unshare",)
PROGRAMS = ("unshare", "nsenter", "setsid", "mount")

# $1 is an empty folder, the rest are pairs of a folder and where it is to be seen, read-only. Overlay and binds vanish with
# the namespace. The last line of the log is the process id of the container's systemd, as seen from here.
_SUPERVISOR = r"""
set -eu
root=$1; shift
mount -t tmpfs overlay "$root"
mkdir "$root/upper" "$root/work" "$root/m"
mount -t overlay overlay -o "lowerdir=/,upperdir=$root/upper,workdir=$root/work" "$root/m"
while [ $# -gt 0 ]; do
    mkdir -p "$root/m$2"
    mount --bind -o ro "$1" "$root/m$2"
    shift 2
done
if [ "$HOW" = nspawn ]; then
    systemd-nspawn --quiet --boot --directory "$root/m" --register=no --keep-unit --private-network --console=pipe \
        systemd.unit=basic.target </dev/null &
    outer=$!
else
    unshare --mount --pid --fork --uts --ipc --cgroup --net --kill-child=KILL sh -c '
        cd "$1"
        mount -t proc proc proc
        mount -t sysfs -o ro sysfs sys
        mount -t tmpfs -o mode=755 tmpfs run
        mount -t tmpfs -o mode=1777 tmpfs tmp
        mount -t tmpfs -o mode=755 cgroup sys/fs/cgroup
        mkdir sys/fs/cgroup/systemd
        mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
        mount -t tmpfs -o mode=755 dev dev
        for node in null zero full random urandom tty; do touch dev/$node; mount --bind /dev/$node dev/$node; done
        mkdir dev/pts dev/shm
        mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
        ln -s pts/ptmx dev/ptmx; ln -s /proc/self/fd dev/fd
        mount -t tmpfs -o mode=1777 shm dev/shm
        mkdir old-root; pivot_root . old-root; cd /
        umount --lazy old-root; rmdir old-root
        exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /sbin/init systemd.unit=basic.target
    ' sh "$root/m" </dev/null &
    outer=$!
fi
until init=$(pgrep --parent $outer --exact 'systemd|init'); do kill -0 $outer; sleep 0.02; done
echo "init $init"
cat >/dev/null  # until whoever started this lets go
kill -s RTMIN+4 "$init" || :  # power off
{ sleep "$POWER_OFF_S"; kill -9 "$init"; } 2>/dev/null &
killer=$!
wait $outer || :
pkill --parent $killer || :
kill $killer 2>/dev/null || :
umount --recursive --lazy "$root"
rmdir "$root"
"""


class Machine:
    """What is booted: runs commands in it, as root or as somebody else."""

    def __init__(self, init: int, how: str) -> None:
        self.how, self.boot_s = how, 0.0
        self._enter = [
            "nsenter",
            "--target",
            str(init),
            "--mount",
            "--uts",
            "--ipc",
            "--net",
            "--pid",
            "--root",
            "--wd",
            "--cgroup",
        ]
        self._enter += ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "HOME=/root", "SYSTEMD_PAGER="]

    def command(self, *words: str, user: str = "root", environment: Mapping[str, str] | None = None) -> list[str]:
        """The command line that runs these words inside."""
        told = [f"{name}={value}" for name, value in (environment or {}).items()]
        other = (
            []
            if user == "root"
            else ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "env", "HOME=/nonexistent"]
        )
        return [*self._enter, *told, *other, *words]

    def run(
        self,
        *words: str,
        user: str = "root",
        ok: Sequence[int] | None = (0,),
        timeout_s: float = 60,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside; AssertionError with all that it said if its exit code is none of `ok` (None: any)."""
        done = subprocess.run(
            self.command(*words, user=user, environment=environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if ok is not None and done.returncode not in ok:
            raise AssertionError(f"{' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def say(self, *words: str, **options) -> str:
        """What a command prints, without the last line feed."""
        return self.run(*words, **options).stdout.rstrip("\n")

    def write(self, path: str, text: str) -> None:
        """Write a file inside."""
        subprocess.run(self.command("tee", path), input=text, text=True, stdout=subprocess.DEVNULL, timeout=10, check=True)

    def shows(self, unit: str, what: str) -> str:
        """A property of a unit."""
        return self.say("systemctl", "show", "--value", "--property", what, unit)

    def pid(self, unit: str) -> int:
        """The main process of a unit, as numbered inside; 0 if it has none."""
        return int(self.shows(unit, "MainPID"))

    def is_active(self, unit: str) -> bool:
        """Whether a unit is active."""
        return self.run("systemctl", "is-active", "--quiet", unit, ok=None).returncode == 0

    def journal(self, *options: str) -> list[str]:
        """Lines of the journal, without time and name."""
        return self.say("journalctl", "--no-pager", "--output=cat", *options).splitlines()


def why_not() -> str | None:
    """Why no systemd can be booted here, if so."""
    if os.geteuid() != 0:
        return "booting a systemd needs root"
    if not Path("/lib/systemd/systemd").exists():
        return "there is no systemd here to be booted"
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    return f"booting a systemd needs {', '.join(missing)}" if missing else None


@contextmanager
def booted(folder: Path, binds: Mapping[Path, str]) -> Iterator[Machine]:
    """Boot, and power off at the end; `binds` are folders to be seen inside, read-only. Raises OSError if it does not boot."""
    errors = []
    for how in HOWS:
        log = folder / f"{how}.log"
        try:
            machine, end = _boot(log, binds, how)
        except AssertionError as error:
            errors.append(f"{how}: {error}\n{log.read_text(errors='replace')[-2000:]}")
            continue
        try:
            yield machine
        finally:
            end()
        return
    raise OSError("no systemd boots here: " + "\n".join(errors))


def _boot(log: Path, binds: Mapping[Path, str], how: str) -> tuple[Machine, Callable[[], None]]:
    began = time.monotonic()
    root = Path(tempfile.mkdtemp(prefix="observatory-boot-"))
    pairs = [word for source, target in binds.items() for word in (str(source), target)]
    reading, writing = os.pipe()
    # Not our child: it and all that is booted would be taken for left behind.
    start = ["setsid", "--fork", "unshare", "--mount", "--propagation", "private", "sh", "-c"]
    with log.open("wb") as output:
        subprocess.run(
            [*start, _SUPERVISOR, "sh", str(root), *pairs],
            stdin=reading,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOW": how, "POWER_OFF_S": str(POWER_OFF_S)},
            check=True,
        )
    os.close(reading)

    def supervisor() -> psutil.Process | None:
        found = (process for process in psutil.process_iter(["cmdline"]) if _is_supervisor(process.info["cmdline"], root))
        return next(found, None)

    def end() -> None:
        owner = supervisor()
        os.close(writing)
        if owner is not None:
            try:
                owner.wait(POWER_OFF_S + 10)
            except psutil.TimeoutExpired:
                owner.kill()
        if root.exists():  # it could not clean up
            root.rmdir()

    def init() -> int | None:
        text = log.read_text(errors="replace")
        if "init " in text:
            return int(text.split("init ", 1)[1].split()[0])
        assert supervisor() is not None, "it ended at once"
        return None

    try:
        waiting.until(lambda: supervisor() is not None or log.stat().st_size, 5, "the supervisor")
        machine = Machine(waiting.until(init, 10, "the container's systemd") or 0, how)
        states = ("running", "degraded")
        waiting.until(lambda: machine.say("systemctl", "is-system-running", ok=None) in states, BOOT_S, "the boot")
    except BaseException:
        end()
        raise
    machine.boot_s = time.monotonic() - began
    return machine, end


def _is_supervisor(words: Sequence[str] | None, root: Path) -> bool:
    return bool(words) and words[:3] == ["sh", "-c", _SUPERVISOR] and words[4] == str(root)
