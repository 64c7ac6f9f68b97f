"""Packages of this working tree and of a later version, and a machine with a systemd to install them on."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import booted
import pytest

REPOSITORY = Path(__file__).parents[2]
LATER = "99.0.0"
ETC = ("observatory", "focusd", "focusd-simulator", "camerad", "gpiod", "gpiod-simulator", "ftpd", "webd")
#: What tests have measured, for the end of the run.
FIGURES = pytest.StashKey[list[str]]()


@dataclass(frozen=True)
class Build:
    """The packages of one version, the folder that they are in, and the sources that they are built from."""

    version: str
    folder: Path
    tree: Path

    def files(self) -> list[Path]:
        """All packages that can be installed."""
        return sorted(self.folder.glob("*.noarch.rpm"))

    def file(self, name: str) -> Path:
        """One package."""
        (found,) = [path for path in self.files() if path.name.startswith(f"{name}-{self.version}-")]
        return found


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test of all waits until two versions are built, which a busy machine takes minutes for."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(600))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what was measured, also when all is well."""
    if figures := config.stash.get(FIGURES, []):
        terminalreporter.section("measured on a booted systemd")
        for figure in figures:
            terminalreporter.write_line(figure)


@pytest.fixture(scope="session")
def figures(pytestconfig: pytest.Config) -> list[str]:
    """Lines with figures, which are shown at the end of the run."""
    return pytestconfig.stash.setdefault(FIGURES, [])


def _run(*words: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout


def _copy(target: Path) -> None:
    """The working tree, as a repository with one tagged commit."""
    names = _run("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", cwd=REPOSITORY).split("\0")
    for name in filter(None, names):
        if (REPOSITORY / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, target / name)
    (target / "build").mkdir()
    cache = REPOSITORY / "build" / "bundled-wheels"
    cache.mkdir(parents=True, exist_ok=True)
    (target / "build" / "bundled-wheels").symlink_to(cache)
    _run("git", "init", "--quiet", cwd=target)


def _commit(target: Path, version: str) -> None:
    who = ("-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false")
    _run("git", "add", "--all", cwd=target)
    _run("git", *who, "commit", "--quiet", "--message", version, cwd=target)
    _run("git", "tag", f"v{version}", cwd=target)


def _build(tree: Path, folder: Path, version: str) -> Build:
    _run("env", f"PYTHON={sys.executable}", "etc/make/rpm", folder, cwd=tree)
    return Build(version, folder, tree)


@pytest.fixture(scope="session")
def builds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Build, Build]:
    """This version's packages, and those of a later one, in which two configs of the test site have changed too."""
    for program in ("rpmbuild", "git"):
        if shutil.which(program) is None:
            pytest.skip(f"needs {program} (Debian: rpm, git)")
    if not (REPOSITORY / ".git").exists():
        pytest.skip("needs a clone, to know which files belong to the project")
    tree = tmp_path_factory.mktemp("tree")
    _copy(tree)
    declared = re.search(r'^version = "([^"]*)"', (tree / "pyproject.toml").read_text(), re.MULTILINE)
    assert declared is not None
    _commit(tree, declared[1])
    now = _build(tree, tmp_path_factory.mktemp("now"), declared[1])
    project = tree / "pyproject.toml"
    project.write_text(project.read_text().replace(f'version = "{now.version}"', f'version = "{LATER}"', 1))
    for config, old, new in (("focusd/test.json", '_delay": 5', '_delay": 4'), ("camerad/cam2.json", '"seed": 2', '"seed": 3')):
        file = tree / "observatory_common" / "site" / config
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))
    _commit(tree, LATER)
    return now, _build(tree, tmp_path_factory.mktemp("later"), LATER)


@pytest.fixture(scope="session")
def now(builds: tuple[Build, Build]) -> Build:
    """The packages of this working tree, as if it were tagged."""
    return builds[0]


@pytest.fixture(scope="session")
def later(builds: tuple[Build, Build]) -> Build:
    """Packages of a later version."""
    return builds[1]


def _libraries() -> set[str]:
    """What a distribution's packages would put into its site-packages: names of modules, without those that ours bundle."""
    bundled = re.findall(r"^([A-Za-z0-9]+)==", (REPOSITORY / "rpm" / "bundled.txt").read_text(), re.MULTILINE)
    seen = {"observatory-daemons", *(name.lower() for name in bundled)}
    wanted = list(importlib.metadata.requires("observatory-daemons") or [])
    modules: set[str] = set()
    while wanted:
        requirement = wanted.pop()
        extra = re.search(r"""extra == ['"]([a-z]+)['"]""", requirement)
        name = re.match(r"[A-Za-z0-9._-]+", requirement)
        assert name is not None
        key = name[0].lower().replace("_", "-")
        if key in seen or (extra is not None and extra[1] not in ("focus", "camera", "gpio", "ftp", "web")):
            continue
        seen.add(key)
        try:
            found = importlib.metadata.distribution(name[0])
        except importlib.metadata.PackageNotFoundError:  # of another platform or Python
            continue
        modules |= {file.parts[0] for file in found.files or [] if file.parts[0] not in ("..", "__pycache__")}
        wanted += [other for other in found.requires or [] if "extra ==" not in other]
    return modules


@pytest.fixture(scope="session")
def machine(
    builds: tuple[Build, Build], tmp_path_factory: pytest.TempPathFactory, figures: list[str]
) -> Iterator[booted.Machine]:
    """A machine that has booted and is empty of ours; what the daemons' distribution packages would give is there."""
    reason = booted.why_not()
    own = subprocess.run(["/usr/bin/python3", "-V"], capture_output=True, text=True, timeout=10, check=False).stdout.split()[
        -1:
    ]
    if reason is None and (not own or own[0].rsplit(".", 1)[0] != f"{sys.version_info[0]}.{sys.version_info[1]}"):
        reason = (
            f"the libraries here are for Python {sys.version_info[0]}.{sys.version_info[1]}, not for /usr/bin/python3 {own}"
        )
    if reason is not None:
        pytest.skip(reason)
    now, later = builds
    purelib = Path(sysconfig.get_path("purelib"))
    binds = {now.folder: "/opt/now", later.folder: "/opt/later", purelib: "/opt/libraries"}
    try:
        with booted.booted(tmp_path_factory.mktemp("boot"), binds) as found:
            figures.append(f"systemd booted by {found.how} in {found.boot_s:.1f} s")
            modules = sorted(_libraries())
            found.run("mkdir", "/opt/distribution")
            found.run("ln", "-s", *(f"/opt/libraries/{name}" for name in modules), "/opt/distribution")
            found.write("/usr/lib/python3/dist-packages/0.pth", "import sys; sys.path.insert(1, '/opt/distribution')\n")
            found.run("useradd", "ann")
            yield found
    except OSError as error:
        pytest.skip(str(error))


def _files(machine: booted.Machine) -> set[str]:
    """All files and folders, but for those that the machine itself writes."""
    found = machine.say("find", "/etc", "/usr", "/var/lib", "/opt", "-xdev", "-not", "-path", "/opt/libraries/*", "-print")
    own = ("/usr/lib/python3/dist-packages/0.pth", "/var/lib/systemd", "/var/lib/dpkg/alternatives", "/etc/.pwd.lock")
    return {name for name in found.splitlines() if not name.startswith(own) and "__pycache__" not in name}


@pytest.fixture(scope="session")
def added(machine: booted.Machine) -> Callable[[], set[str]]:
    """Says which files and folders the machine has that were not there when it had booted, before anything was installed."""
    at_boot = _files(machine)
    return lambda: _files(machine) - at_boot


@pytest.fixture
def site(machine: booted.Machine, now: Build, added: Callable[[], set[str]]) -> Iterator[booted.Machine]:
    """The machine with this version's packages and the simulated site on it, nothing started; empty again afterwards."""
    machine.run("rpm", "--upgrade", "--nodeps", *(f"/opt/now/{path.name}" for path in now.files()))
    yield machine
    names = machine.say("rpm", "--query", "--all", "*observatory*").split()
    if names:
        machine.run("rpm", "--erase", "--nodeps", *names)
    machine.run(
        "sh", "-c", f"cd /etc && rm -rf {' '.join(ETC)}; rm -rf /run/observatory; cd /var/lib && rm -rf {' '.join(ETC)}"
    )
    machine.run("systemctl", "reset-failed")
