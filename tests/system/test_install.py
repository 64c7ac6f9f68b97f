"""The ways in which people get it: a clone with its two commands (root and ordinary user), a wheel, an editable install."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import pytest
import waiting

REPOSITORY = Path(__file__).parents[2]
ORDINARY = "nobody"


def run(command: list[str], **options) -> subprocess.CompletedProcess[str]:
    options = {"capture_output": True, "text": True, "timeout": 300, "stdin": subprocess.DEVNULL, **options}
    return subprocess.run(command, check=False, **options)


def environment(home: Path) -> dict[str, str]:
    """As a new user's shell has it."""
    kept = ("LANG", "LC_ALL", "PIP_INDEX_URL", "PIP_CONFIG_FILE", "PIP_TRUSTED_HOST", "http_proxy", "https_proxy", "no_proxy")
    return {
        **{key: value for key, value in os.environ.items() if key in kept or key.startswith("PIP_")},
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "HOME": str(home),
    }


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What a clone of the working tree would hold."""
    if shutil.which("git") is None or not (REPOSITORY / ".git").exists():
        pytest.skip("needs git and a clone, to know which files belong to the project")
    listed = run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], cwd=REPOSITORY).stdout
    target = tmp_path / "clone"
    for name in filter(None, listed.split("\0")):
        source = REPOSITORY / name
        if source.is_file():  # not one that is deleted and not yet committed
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)
    return target


@contextmanager
def started(command: list[str], output: Path, **options) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a group of its own, whose group is interrupted at the end as Ctrl-C would do it."""
    with output.open("wb") as file:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, start_new_session=True, **options
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        process.wait(30)


def own_network(command: list[str]) -> list[str]:
    """The command in a network of its own, since the packaged observatory's port is fixed; the build needs the real one."""
    script = 'ip link set lo up && exec "$@"'
    become_root = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", *become_root, "--net", "sh", "-c", script, "sh", *command]


def as_user(user: str | None, command: list[str]) -> list[str]:
    return command if user is None else ["setpriv", "--reuid", user, "--regid", "nogroup", "--clear-groups", *command]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("user", [None, ORDINARY])
def test_a_clone_runs_with_make_run(user: str | None, clone: Path, tmp_path: Path, machine_lag) -> None:
    if user is not None and os.geteuid() != 0:
        pytest.skip("needs root, to become another user; run as an ordinary user, the other case is this one")
    if run(own_network(["true"])).returncode:
        pytest.skip("needs network namespaces (unshare --net), since the packaged observatory's port is fixed")
    home = tmp_path / "home"
    home.mkdir()
    if user is not None:
        run(["chown", "-R", user, str(clone), str(home)])
        for folder in (tmp_path, *tmp_path.parents):
            if folder.stat().st_uid == os.geteuid() and not folder.stat().st_mode & 0o001:
                folder.chmod(folder.stat().st_mode | 0o011)
    env = environment(home)
    built = run(as_user(user, ["make", ".venv/.run"]), cwd=clone, env=env, timeout=500)
    assert built.returncode == 0, built.stdout + built.stderr
    output, took_s = tmp_path / "output", []
    for _ in range(4):
        began = time.monotonic()
        with started(own_network(as_user(user, ["make", "run"])), output, cwd=clone, env=env) as process:
            waiting.until(lambda: "Ctrl-C ends it" in output.read_text(), 60, f"the introduction in {output}")
            took_s.append(time.monotonic() - began)
            become_root = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
            inside = ["nsenter", *become_root, "--net", "-t", str(process.pid), *as_user(user, [])]
            for command in re.findall(r"^  (\S*focus .*)$", output.read_text(), re.MULTILINE):
                done = run([*inside, "sh", "-c", command], cwd="/", env=env)
                assert (done.returncode, done.stderr) == (0, ""), (command, output.read_text())
            done = run([*inside, "./focus", "status"], cwd=clone, env=env)
            assert "Channel 1: +000300 steps" in done.stdout, done
        assert process.returncode in (0, -signal.SIGINT, 130)
        left = run(["pgrep", "-f", str(clone)]).stdout
        assert not left, left
    # The second start and those after it. What the many daemons wait for a processor is mostly for one another.
    assert median(took_s[1:]) < 5 + machine_lag.seconds, took_s


def test_the_root_scripts_say_what_to_do_before_make(clone: Path) -> None:
    for script in ("./focus", "./focusd", "./cam", "./camerad", "./webd"):
        done = run([script, "status"], cwd=clone)
        assert done.returncode == 1
        assert "make run" in done.stderr


@pytest.mark.timeout(600)
def test_a_wheel_has_everything(clone: Path, tmp_path: Path) -> None:
    built = run([sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(tmp_path), str(clone)])
    assert built.returncode == 0, built.stdout + built.stderr
    wheel = next(tmp_path.glob("*.whl"))
    venv = tmp_path / "venv"
    assert run([sys.executable, "-m", "venv", str(venv)]).returncode == 0
    assert run([str(venv / "bin/pip"), "install", "--no-deps", "--quiet", str(wheel)]).returncode == 0
    # The dependencies are those of this very environment; .pth files of a folder added so are not followed.
    packages = next((venv / "lib").glob("python*/site-packages"))
    (packages / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"])
    env = {**environment(tmp_path), "PATH": f"{venv}/bin:/usr/bin:/bin"}
    where = run([str(venv / "bin/python"), "-c", "import observatory_common as c; print(c.__file__)"], cwd="/", env=env)
    assert where.stdout.startswith(str(venv)), where
    for command in ("focus", "cam", "observatory", "focusd", "focusd-simulator", "camerad", "webd"):
        assert re.fullmatch(rf"{command} \d+\.\d+\.\d+\n", run([command, "--version"], cwd="/", env=env).stdout)
    if run(own_network(["true"])).returncode == 0:
        output = tmp_path / "output"
        with started(own_network(["observatory", "run"]), output, cwd="/", env=env) as process:
            waiting.until(lambda: "Ctrl-C ends it" in output.read_text(), 60, f"the introduction in {output}")
            assert "  focus status\n" in output.read_text()  # it is on the PATH, so its name will do
            link = "http://127.0.0.1:5000/setup?token="  # from webd, which has found all its files
            waiting.until(lambda: link in output.read_text(), 60, f"the link in {output}")
        assert process.returncode == 0


def test_the_editable_install_of_these_tests_runs_from_anywhere(tmp_path: Path) -> None:
    scripts = Path(sys.executable).parent
    env = environment(tmp_path)
    for command in ("focus", "cam", "observatory", "focusd", "focusd-simulator", "camerad"):
        done = run([str(scripts / command), "--version"], cwd="/", env=env)
        assert re.fullmatch(rf"{command} \d+\.\d+\.\d+\n", done.stdout), done
    where = run([str(scripts / "python"), "-c", "import observatory_common as c; print(c.__file__)"], cwd="/", env=env)
    assert Path(where.stdout.strip()).is_relative_to(REPOSITORY)


def test_the_unit_is_understood_by_systemd(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    unit = (REPOSITORY / "etc" / "systemd" / "focusd@.service").read_text()
    assert "WatchdogSec=" in unit
    assert "RestartPreventExitStatus=78" in unit
    copy = tmp_path / "focusd@.service"
    copy.write_text(unit.replace("/usr/bin/focusd", str(Path(sys.executable).parent / "focusd")))
    copy_of_instance = tmp_path / "focusd@test.service"
    copy_of_instance.write_text(copy.read_text())
    done = run(["systemd-analyze", "verify", "--man=no", str(copy_of_instance)])
    complaints = [line for line in done.stderr.splitlines() if "focusd@" in line]
    assert not complaints, done.stderr
