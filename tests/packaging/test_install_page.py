"""docs/install.md: what it tells people to type is there, after packages and after pip; and the figures of these tests."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from observatory_common.directory import Directory
from observatory_common.paths import KINDS

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "install.md").read_text()
PIP = "With pip: Raspberry Pi OS, Debian"
VENV = "/opt/observatory/bin/"
#: What a system has, or a line above has installed.
SYSTEM = {
    "apt", "cat", "dnf", "firewall-cmd", "git", "install", "journalctl", "ln", "make", "python3", "rm", "sed", "systemctl",
    "systemd-sysusers", "touch", "udevadm",
}  # fmt: skip


def sections() -> dict[str, str]:
    """The chapters by their headings."""
    parts = re.split(r"^## (.*)\n", PAGE, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def lines(text: str) -> Iterator[str]:
    """The lines of the shell blocks, without what a here-document holds."""
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        yield from re.sub(r"(<<'EOF'\n).*?\nEOF\n", r"\1", block, flags=re.DOTALL).splitlines()


def commands(line: str) -> Iterator[list[str]]:
    """The commands of a line, each as its words."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in lexer:
        if word in ("|", "&&", ";"):
            yield words
            words = []
        else:
            words.append(word)
    if words:
        yield words


def expanded(word: str) -> list[str]:
    """A word with {a,b} in it, as bash reads it."""
    parts = [part[1:-1].split(",") if part[:1] == "{" else [part] for part in re.split(r"(\{[^}]*\})", word)]
    return ["".join(choice) for choice in product(*parts)]


def typed(text: str) -> list[list[str]]:
    """All commands of a chapter."""
    return [command for line in lines(text) for command in commands(line)]


def scripts() -> set[str]:
    """The project's programs."""
    listed = re.search(
        r"^\[project.scripts\]\n(.*?)\n\n", (REPOSITORY / "pyproject.toml").read_text(), re.DOTALL | re.MULTILINE
    )
    assert listed is not None
    return {line.split(" ")[0] for line in listed[1].splitlines()}


def made_by_pip() -> set[str]:
    """The programs that the chapter on pip puts where a shell, and a unit, finds them."""
    made = set()
    for words in typed(sections()[PIP]):
        if words[0] == "ln":
            made |= {Path(path).name for word in words if word.startswith(VENV) for path in expanded(word)}
        elif words[0] == "install" and "/usr/local/sbin/" in words[-1]:
            made.add(Path(words[-1]).name)
    return made


def test_every_command_is_there() -> None:
    assert made_by_pip() == scripts() | {"observatory-firewalld"}
    spec = (REPOSITORY / "rpm" / "observatory-daemons.spec").read_text()
    assert "%{_sbindir}/observatory-firewalld" in spec
    for words in typed(PAGE):
        name = words[0]
        assert name in SYSTEM | made_by_pip() or name == f"{VENV}pip", f"who has {name!r}?"
        for word in words[1:]:
            for file in expanded(word):
                if re.fullmatch(r"(etc|rpm)/[\w./@*-]+", file):
                    assert list(REPOSITORY.glob(file)), f"there is no {file}"


def test_pip_makes_the_folders_that_units_and_people_need() -> None:
    made = {
        path
        for words in typed(sections()[PIP])
        if words[:2] == ["install", "-d"]
        for word in words[2:]
        for path in expanded(word)
    }
    units = (REPOSITORY / "etc" / "systemd").glob("*@.service")
    kinds = {re.search(r"^ConfigurationDirectory=(.*)$", unit.read_text(), re.MULTILINE)[1] for unit in units}
    assert kinds >= set(KINDS)
    assert {f"/etc/{kind}" for kind in kinds} <= made
    for kind in KINDS:
        assert (REPOSITORY / "etc" / kind / "example.json").exists(), kind
    assert "etc/<kind>/example.json" in PAGE


def test_the_firewalls_program_runs_in_the_environment_of_pip(tmp_path: Path) -> None:
    if shutil.which("bash") is None:
        pytest.skip("needs bash")
    (line,) = [line for line in lines(sections()[PIP]) if "observatory-firewalld" in line]
    target = tmp_path / "observatory-firewalld"
    line = line.replace(f"{VENV}python", sys.executable).replace("/usr/local/sbin/observatory-firewalld", str(target))
    subprocess.run(["bash", "-euo", "pipefail", "-c", line], cwd=REPOSITORY, timeout=30, check=True)
    (tmp_path / "etc" / "focusd").mkdir(parents=True)
    done = subprocess.run(
        [target, tmp_path],
        env={**os.environ, "OBSERVATORY_ETC": str(tmp_path / "etc")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_way_back_after_pip_renews_all() -> None:
    text = sections()[PIP]
    assert "repeat all lines above from `rm -rf build` on" in text
    once = typed(text.partition("rm -rf build")[0] + "```\n")
    again = typed("```sh\nrm -rf build" + text.partition("rm -rf build")[2])
    assert not [words for words in once if words[0] in ("ln", "install")]
    sources = {word for words in again if words[0] == "install" for word in words if word.startswith("etc/")}
    assert sources == {"etc/systemd/*", "etc/udev/*", "etc/sysusers/observatory.conf"}
    assert not [words for words in again if words[0] == "ln" and "-sf" not in words]
    (restart,) = [words for words in again if "try-restart" in words]
    assert restart[2:] == [f"{kind}@*" for kind in KINDS]
    assert ["systemctl", "daemon-reload"] in again


def test_the_packed_samples_of_a_registry_are_the_pages() -> None:
    folder = REPOSITORY / "etc" / "observatory"
    shown = dict(re.findall(r"^cat >/etc/observatory/(\S+) <<'EOF'\n(.*?)^EOF\n", PAGE, re.MULTILINE | re.DOTALL))
    assert shown == {file.name: file.read_text() for file in folder.iterdir()}
    assert {"dome_focus", "dome_camera"} <= set(Directory.load(folder).daemons)


def test_figures_are_shown_at_the_end_of_a_run(tmp_path: Path) -> None:
    shutil.copy2(Path(__file__).with_name("conftest.py"), tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_it.py").write_text('def test_it(figures):\n    figures.append("it took 1.5 s")\n')
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", tmp_path],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "tests" / "support")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "\nit took 1.5 s\n" in done.stdout
