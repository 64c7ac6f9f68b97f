"""What is written is true: README commands run, tables match the code, generated files are up to date."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import observatory
import pytest

from observatory_focusd.config import SCHEMA
from observatory_focusd.simulator.config import SCHEMA as SIMULATOR_SCHEMA
from observatory_focusd.simulator.faults import REPLY_FAULTS

REPOSITORY = Path(__file__).parents[2]
SCRIPTS = Path(sys.executable).parent
PAGES = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md")])


def blocks(page: Path, language: str) -> Iterator[str]:
    for found in re.finditer(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        yield found[1]


def commands(page: Path) -> list[str]:
    """Every shell command of a page, without its comment."""
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    return [re.sub(r"\s+#.*", "", line) for line in lines if line.strip()]


def code_words(page: str) -> set[str]:
    """What stands in backquotes, outside of blocks."""
    text = re.sub(r"^```.*?^```", "", (REPOSITORY / "docs" / page).read_text(), flags=re.MULTILINE | re.DOTALL)
    return set(re.findall(r"`([^`\n]+)`", text))


def test_the_readmes_commands_do_what_it_says(tmp_path: Path) -> None:
    config = tmp_path / "focusd" / "east.json"
    config.parent.mkdir()
    config.write_text(next(blocks(REPOSITORY / "README.md", "json")))
    targets = set(re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    seen = set()
    with observatory.daemon(tmp_path / "site", confirm=False) as daemon:
        for command in commands(REPOSITORY / "README.md"):
            words = command.split()
            if words[0] == "make":
                assert words[1] in targets
            elif words[0] == "./focus":
                done = daemon.focus(*words[1:])
                assert (done.returncode, done.stderr) == (0, ""), command
            elif words[:2] == ["observatory", "check"]:
                done = subprocess.run([SCRIPTS / "observatory", "check", config], capture_output=True, text=True, check=False)
                assert (done.returncode, done.stderr) == (0, "")
            else:
                assert words[0] in ("dnf", "systemctl"), f"no test knows {command!r}"
                continue
            seen.add(words[0])
        assert seen == {"make", "./focus", "observatory"}
        shown = next(blocks(REPOSITORY / "README.md", "console"))
        said = "error: position +20001 of channel 1 is outside its limits -20000 to +20000 steps"
        assert said in shown
        assert "Channel 1: +000120 steps (moving to +000300 steps)" in shown


def test_ten_lines_that_replace_a_pyro4_script_run(tmp_path: Path) -> None:
    page = REPOSITORY / "docs" / "from-multifocusd.md"
    script = next(blocks(page, "python"))
    assert len(script.strip().splitlines()) <= 12
    with observatory.daemon(tmp_path, speed_factor=50, steps_per_s=50 * 61.03515625) as daemon:
        script = script.replace("localhost_test", observatory.NAME)
        done = subprocess.run([sys.executable, "-c", script], env=daemon.env, capture_output=True, text=True, check=False)
        assert (done.stdout, done.stderr) == ("succeeded 1500\n", "")
        bare = re.search(r'`(Proxy\("PYRO:localhost_test@127\.0\.0\.1:9000"\)\.report_status\(\))`', page.read_text())[1]
        bare = bare.replace("localhost_test", observatory.NAME).replace("9000", str(daemon.port))
        script = f'import Pyro5; from Pyro5.api import *; Pyro5.config.SERIALIZER = "msgpack"; print({bare}["kind"])'
        done = subprocess.run([sys.executable, "-c", script], env=daemon.env, capture_output=True, text=True, check=False)
        assert done.stdout == "focusd\n", done.stderr


def test_focusds_page_has_every_key_method_and_status(tmp_path: Path) -> None:
    words = code_words("focusd.md")
    assert set(SCHEMA["properties"]) <= words
    with observatory.daemon(tmp_path, temperature_probes={"x": {"label": "X", "address": "0" * 16}}) as daemon:
        with daemon.connect() as focuser:
            methods, status = focuser.hello["members"], focuser.report_status()
    documented = {word.partition("(")[0] for word in words if "(" in word}
    assert set(methods) <= documented
    page = (REPOSITORY / "docs" / "focusd.md").read_text()
    for method, level in methods.items():
        assert re.search(rf"`{method}\(.*\| {level} \|", page), method
    keys = {re.sub(r"_\d$", "_N", key).replace("temperature_x_C", "temperature_<name>_C") for key in status}
    assert keys == {word for word in words if word in keys}


@pytest.mark.parametrize("kind", ["focusd", "camerad", "gpiod", "ftpd", "webd"])
def test_each_daemons_page_has_its_exit_codes(kind: str) -> None:
    text = (REPOSITORY / "docs" / f"{kind}.md").read_text()
    table = text.partition("| exit code | means |\n|---|---|\n")[2].partition("\n\n")[0]
    assert re.findall(r"^\| (\d+) \|", table, re.MULTILINE) == ["0", "64", "75", "78"]


def test_the_simulators_page_has_every_key_and_fault() -> None:
    words = code_words("focusd-simulator.md")
    assert set(SIMULATOR_SCHEMA["properties"]) <= words
    assert {*REPLY_FAULTS, "unplug", "replug", "power_cut", "clear"} <= words


def test_the_table_of_codes_is_up_to_date() -> None:
    made = subprocess.run([sys.executable, REPOSITORY / "etc/make/codes"], capture_output=True, text=True, check=True).stdout
    assert (REPOSITORY / "docs" / "codes.md").read_text() == made, "run: make codes"


def test_the_completion_scripts_are_up_to_date(tmp_path: Path) -> None:
    subprocess.run([REPOSITORY / "etc/make/completion", SCRIPTS, tmp_path], check=True)
    made = {path.relative_to(tmp_path): path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    kept = REPOSITORY / "etc" / "completion"
    assert made == {p.relative_to(kept): p.read_text() for p in kept.rglob("*") if p.is_file()}, "run: make completion"


COMPLETING = {
    "bash": 'source etc/completion/bash/focus; COMP_WORDS=(focus stop ""); COMP_CWORD=2; _focus_completion focus; '
    'printf "%s\\n" "${COMPREPLY[@]}"',
    "zsh": "autoload -U compinit; compinit -D; compadd() { print -l -- ${(P)@[-1]} }; compdef() {}; "
    "source etc/completion/zsh/_focus; "
    "_describe() { print -l -- ${(P)4} }; words=(focus stop ''); CURRENT=3; _focus_completion",
    "fish": 'source etc/completion/fish/focus.fish; complete -C "focus stop "',
}


@pytest.mark.parametrize("shell", COMPLETING)
def test_completion_works_in_a_real_shell(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    daemon = observatory.Daemon(tmp_path, channels=[{}, {}])
    env = {**daemon.env, "PATH": f"{SCRIPTS}:{daemon.env['PATH']}"}
    done = subprocess.run(
        [shell, "-c", COMPLETING[shell]], cwd=REPOSITORY, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert {"1", "2"} <= set(done.stdout.split()), done


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page}: {target}"


def test_modules_are_small_and_the_version_has_one_place() -> None:
    for path in (path for root in ("observatory_common", "daemons", "cli") for path in (REPOSITORY / root).rglob("*.py")):
        assert len(path.read_text().splitlines()) <= 400, path
    version = re.search(r'^version = "(.+?)"', (REPOSITORY / "pyproject.toml").read_text(), re.MULTILINE)[1]
    for path in [*REPOSITORY.glob("**/*.py"), *REPOSITORY.glob("etc/**/*")]:
        if path.is_file() and ".venv" not in path.parts:
            assert f'"{version}"' not in path.read_text(), f"{path} repeats the version"


def test_the_installed_examples_pass_their_own_check() -> None:
    for path in (path for kind in ("focusd", "webd") for path in (REPOSITORY / "etc" / kind).glob("*.json")):
        done = subprocess.run([SCRIPTS / "observatory", "check", path], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
