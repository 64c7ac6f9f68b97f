"""The packages as files: names, versions, requirements, what is in them, what rpmlint says, and the spec on Fedora and EL."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
SPEC = REPOSITORY / "rpm" / "observatory-daemons.spec"
PACKAGES = {
    "python3-observatory-common": {"python3-click", "python3-jsonschema", "python3-msgpack", "python3-rich"},
    "observatory-server-common": {"python3-observatory-common"},
    "observatory-focus-server": {"observatory-server-common", "python3-pyserial"},
    "observatory-camera-server": {
        "observatory-server-common", "python3-astropy", "python3-numpy", "python3-opencv", "python3-pillow", "python3-pyzmq",
    },
    "observatory-gpio-server": {"observatory-server-common"},
    "observatory-ftp-server": {"observatory-server-common", "python3-argon2-cffi", "python3-pyOpenSSL", "python3-pyftpdlib"},
    "observatory-web-server": {
        "observatory-server-common", "python3-argon2-cffi", "python3-fastapi", "python3-httptools", "python3-jinja2",
        "python3-jwt", "python3-python-multipart", "python3-websockets",
    },
    "observatory-client": {"python3-observatory-common"},
    "observatory-test-data": {"observatory-server-common"},
}  # fmt: skip


def ask(*words: str | Path, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=60, check=False, **options)


def query(package: Path, what: str) -> list[str]:
    done = ask("rpm", "--query", "--package", *what.split(), package)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_names_and_versions(now, later) -> None:
    for build in (now, later):
        assert {path.name for path in build.files()} == {f"{name}-{build.version}-1.noarch.rpm" for name in PACKAGES}
        assert (build.folder / f"observatory-daemons-{build.version}-1.src.rpm").exists()


def test_requirements_are_those_of_each(now) -> None:
    for name, expected in PACKAGES.items():
        required = {line.split(" ")[0] for line in query(now.file(name), "--requires")}
        assert {word for word in required if word.startswith(("python3-", "observatory-"))} == expected, name
    client = " ".join(
        query(now.file("observatory-client"), "--provides") + query(now.file("observatory-client"), "--obsoletes")
    )
    assert client.count("observatory-multifocus-client") == 2


@pytest.mark.parametrize(
    ("name", "kind"), [("focus", "focusd"), ("camera", "camerad"), ("gpio", "gpiod"), ("ftp", "ftpd"), ("web", "webd")]
)
def test_instances_are_restarted_once_and_end_with_their_package(now, name: str, kind: str) -> None:
    text = "\n".join(query(now.file(f"observatory-{name}-server"), "--scripts"))
    assert re.findall(r"systemctl (\S*restart) (.*?) >", text) == [("try-restart", f"'{kind}@*.service'")]
    scripts = dict(re.findall(r"^(\w+) scriptlet .*?:\n(.*?)(?=^\w+ scriptlet |\Z)", text, re.M | re.S))
    assert "try-restart" in scripts["posttrans"]  # when all packages of the transaction are there
    removal = re.fullmatch(
        r"if \[ \$1 -eq 0 \] && .*?; then.*?for kind in (.*?); do(.*?)done.*fi\n*", scripts["preuninstall"], re.S
    )
    assert removal is not None, scripts["preuninstall"]
    assert kind in removal[1].split()
    assert "systemctl --no-reload disable $kind@.service" in removal[2]
    assert 'systemctl stop "$kind@*.service"' in removal[2]


def test_the_samples_of_a_sites_registry_are_packed(now) -> None:
    files = query(now.file("observatory-test-data"), "--docfiles")
    assert {Path(file).name for file in files} >= {"machines.json", "daemons.json"}
    assert "/etc/observatory/" not in "\n".join(query(now.file("observatory-test-data"), "--list"))  # they are not in force


def test_folders_that_others_may_not_have_are_owned(now) -> None:
    listed = {name: query(now.file(name), "--list") for name in ("observatory-client", "observatory-test-data")}
    for name, top in [("observatory-client", f"/usr/share/{shell}") for shell in ("bash-completion", "zsh", "fish")] + [
        ("observatory-test-data", "/usr/lib/firewalld")
    ]:
        below = [Path(file) for file in listed[name] if file.startswith(f"{top}/")]
        assert below, top
        parents = {str(parent) for file in below for parent in file.parents if str(parent).startswith(top)}
        assert parents <= set(listed[name]), top


def test_what_is_bundled_is_said_and_pinned(now) -> None:
    pinned = dict(
        re.findall(r"^([A-Za-z0-9]+)==(\S+) --hash=sha256:[0-9a-f]{64}$", (SPEC.parent / "bundled.txt").read_text(), re.M)
    )
    told = {}
    for package in now.files():
        for line in query(package, "--provides"):
            if found := re.fullmatch(r"bundled\(python3dist\((.*)\)\) = (.*)", line):
                told[found[1]] = found[2]
    assert told == {name.lower(): version for name, version in pinned.items()}
    assert f'"Pyro5=={pinned["Pyro5"]}"' in (REPOSITORY / "pyproject.toml").read_text()


def test_files(now) -> None:
    for package in now.files():
        files = query(package, "--list")
        assert any(file.endswith("/LICENSE") for file in files), package.name
        for file in files:
            if match := re.fullmatch(r"/usr/s?bin/(.*)", file):
                assert any(f"/man{section}/{match[1]}.{section}.gz" in " ".join(files) for section in (1, 8)), file
        configs = set(query(package, "--configfiles"))
        own = {file for file in files if file.startswith("/etc/") and file.endswith(".json")}
        assert configs == own
        assert bool(own) == package.name.startswith("observatory-test-data-")
        others = [line for line in query(package, "--list --verbose") if " root     root " not in line]
        assert all(line.startswith("drwxr-x---") and line.endswith(" /etc/ftpd") for line in others), others


def test_pages_styles_scripts_and_migrations_are_packed(now) -> None:
    """What webd reads beside its code; a browser test would find it in the working tree."""
    root = now.tree / "daemons" / "observatory_webd"
    files = (path for path in root.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc"))
    there = {str(path.relative_to(root)) for path in files}
    packed = {file.partition("/observatory_webd/")[2] for file in query(now.file("observatory-web-server"), "--list")}
    assert {Path(name).suffix for name in there} >= {".html", ".css", ".js", ".svg", ".sql"}
    assert there <= packed, there - packed


def test_rpmlint(now) -> None:
    if shutil.which("rpmlint") is None:
        pytest.skip("needs rpmlint (Debian: rpmlint)")
    done = ask("rpmlint", "--config", SPEC.parent / "rpmlint.toml", *now.files(), *now.folder.glob("*.src.rpm"))
    assert " 0 errors, 0 warnings" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("system", ["fedora 42", "rhel 10"])
def test_the_spec_on_other_systems(system: str) -> None:
    if shutil.which("rpmspec") is None:
        pytest.skip("needs rpmspec (Debian: rpm)")
    named = ask("rpmspec", "--define", system, "--query", "--queryformat=%{name}\n", SPEC)
    assert set(named.stdout.split()) == {"observatory-daemons", *PACKAGES}, named.stderr
    needed = ask("rpmspec", "--define", system, "--query", "--buildrequires", SPEC).stdout
    assert {"pyproject-rpm-macros", "systemd-rpm-macros"} <= set(needed.split())
    # rpm makes the user by itself there.
    assert "systemd-sysusers" not in ask("rpmspec", "--define", system, "--parse", SPEC).stdout


def test_the_user_of_other_systems_is_that_of_sysusers() -> None:
    made = re.search(r"<<'CONF'.*?\n(.*?)CONF\n", SPEC.read_text(), re.DOTALL)
    assert made is not None
    lines = (REPOSITORY / "etc" / "sysusers" / "observatory.conf").read_text().splitlines()
    assert made[1].splitlines() == [line for line in lines if not line.startswith("#")]


def test_versions_come_from_tags(tmp_path: Path) -> None:
    """With an rpmbuild that only shows what it is given."""
    if shutil.which("git") is None or shutil.which("rpm") is None:
        pytest.skip("needs git and rpm")
    (tmp_path / "bin").mkdir()
    shown = tmp_path / "bin" / "rpmbuild"
    shown.write_text('#!/bin/bash\nhead -n 2 "${@: -1}"\nexit 1\n')
    shown.chmod(0o755)
    tree = tmp_path / "tree"
    for name in ("etc/make/rpm", "rpm/bundled.txt", "rpm/observatory-daemons.spec", "rpm/macros.debian"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / name, tree / name)
    (tree / "pyproject.toml").write_text('[project]\nversion = "1.2.3"  # the one place\n')
    (tree / ".gitignore").write_text("/build/\n")
    cache = REPOSITORY / "build" / "bundled-wheels"
    if not cache.is_dir():
        pytest.skip("needs the bundled wheels, which a build fetches")
    (tree / "build").mkdir()
    (tree / "build" / "bundled-wheels").symlink_to(cache)
    environment = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "PYTHON": "python3"}

    def git(*words: str) -> None:
        done = ask("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false", *words, cwd=tree)
        assert done.returncode == 0, done.stderr

    def said() -> str:
        return ask("etc/make/rpm", tmp_path / "out", cwd=tree, env=environment).stderr

    git("init", "--quiet")
    git("add", "--all")
    git("commit", "--quiet", "--message", "one")
    release = re.fullmatch(r"%global observatory_version 1\.2\.3\n%global observatory_release (0\.1\.g[0-9a-f]+)\n", said())
    assert release is not None
    older = ask("rpm", "--eval", f'%{{lua:print(rpm.vercmp("{release[1]}", "1"))}}').stdout.strip()
    assert older == "-1"
    git("tag", "v1.2.3")
    assert said().endswith("observatory_release 1\n")
    (tree / "pyproject.toml").write_text('[project]\nversion = "1.2.4"\n')
    assert re.search(r"observatory_release 0\.1\.g[0-9a-f]+\.dirty\n", said())
    git("commit", "--quiet", "--all", "--message", "two")
    git("tag", "v1.3.0")
    assert said() == "the tag v1.3.0 is not v1.2.4, the version in pyproject.toml\n"


def test_manual_pages_are_those_of_the_commands(tmp_path: Path) -> None:
    done = ask(sys.executable, REPOSITORY / "etc" / "make" / "man", tmp_path)
    assert done.returncode == 0, done.stderr
    pages = {path.name: path for path in tmp_path.glob("man*/*")}
    scripts = re.search(
        r"^\[project.scripts\]\n(.*?)\n\n", (REPOSITORY / "pyproject.toml").read_text(), re.DOTALL | re.MULTILINE
    )
    assert scripts is not None
    programs = {line.split(" ")[0] for line in scripts[1].splitlines()}
    assert {name.rsplit(".", 1)[0] for name in pages} >= programs
    focus = pages["focus.1"].read_text()
    assert ".SS \\fBfocus set\\fR" in focus
    assert "\\fB\\-\\-accept\\-uncertain\\fR" in focus
    ends = {
        name: re.search(r"^\.SH EXIT STATUS\n(.*?)\n\.SH ", page.read_text(), re.M | re.S)[1] for name, page in pages.items()
    }
    numbers = {name: set(re.findall(r"\b\d+\b", text)) for name, text in ends.items()}
    for name in ("focusd", "camerad", "gpiod", "ftpd", "webd"):
        assert numbers[f"{name}.8"] == {"0", "64", "75", "78"}, name
    for name in ("focus", "cam", "gpio", "observatory"):
        assert numbers[f"{name}.1"] == {"0", "64", "78", "155", "156"}, name
    if shutil.which("groff") is None:
        pytest.skip("needs groff, to see whether the pages are clean (Debian: groff)")
    for page in [*pages.values(), REPOSITORY / "etc" / "firewalld" / "observatory-firewalld.8"]:
        assert ask("groff", "-man", "-ww", "-z", "-Tutf8", page).stderr == "", page
