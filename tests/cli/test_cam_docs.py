"""What is written of cameras is true: camerad's page, the README, the example, the unit."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import waiting
from astropy.io import fits
from cam import SMALL, Cameras

from observatory_camerad.config import SCHEMA
from observatory_common.errors import CommandStatus

REPOSITORY = Path(__file__).parents[2]
SCRIPTS = Path(sys.executable).parent
PAGE = REPOSITORY / "docs" / "camerad.md"
README = REPOSITORY / "README.md"


def blocks(page: Path, language: str) -> Iterator[str]:
    for found in re.finditer(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        yield found[1]


def code_words() -> set[str]:
    """What stands in backquotes on camerad's page, outside of blocks."""
    text = re.sub(r"^```.*?^```", "", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    return set(re.findall(r"`([^`\n]+)`", text))


def check(config: str, tmp_path: Path) -> None:
    """A config passes, once the machines and daemons that it names are in the registry."""
    file = tmp_path / "etc" / "camerad" / "x.json"
    for name, content in {
        "observatory/machines.json": '{"control-room": "192.0.2.1"}',
        "observatory/daemons.json": '{"dome_camera": {"machine": "LocalHost", "port": 9100}}',
        "camerad/x.json": config,
    }.items():
        path = tmp_path / "etc" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    command = [SCRIPTS / "camerad", "--check", file]
    env = {"OBSERVATORY_ETC": str(tmp_path / "etc")}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture(scope="module")
def cameras(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cameras]:
    running = Cameras(tmp_path_factory.mktemp("cameras"), ("cam1", "cam2"), site={"latitude": 28.76, "longitude": -17.88})
    running.start()
    yield running
    running.close()


def test_the_page_has_every_key_method_status_and_event(cameras: Cameras) -> None:
    words = code_words()
    keys = set(SCHEMA["properties"])
    for name in ("retention", "video", "site", "transform", "simulator"):
        keys |= set(SCHEMA["properties"][name]["properties"])
    keys |= set(SCHEMA["properties"]["use_cases"]["properties"]["live"]["properties"])
    assert keys <= words, keys - words
    with cameras.connect("cam1") as camera:
        methods, status = camera.hello["members"], camera.report_status()
    documented = {word.partition("(")[0] for word in words if "(" in word}
    assert set(methods) == documented & set(methods)
    page = PAGE.read_text()
    for method, level in methods.items():
        assert re.search(rf"`{method}\(.*\| {level} \|", page), method
    table = page.partition("## Status")[2].partition("\n## ")[0]
    described = set(re.findall(r"`([A-Za-z_]+)`", "".join(re.findall(r"^\| (`.*?) \|", table, re.MULTILINE))))
    assert described == set(status)
    source = "".join(path.read_text() for path in (REPOSITORY / "daemons" / "observatory_camerad").rglob("*.py"))
    published = set(re.findall(r'_event\(\s*"(\w+)"', source))
    assert {"camera_lost", "photo_taken"} <= published <= words


def test_the_page_has_every_header_of_fits(cameras: Cameras) -> None:
    assert cameras.cam("cam2", "photo", "--raw", "--output", "raw.fits").returncode == 0
    headers = set(fits.getheader(cameras.folder / "raw.fits"))
    structure = {"SIMPLE", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "EXTEND", "BSCALE", "BZERO", "COMMENT", "DATASUM"}
    assert {"DATE-OBS", "SITELAT", "BLKLEVEL"} <= headers - structure <= code_words()


def test_examples_pass_their_own_check(tmp_path: Path) -> None:
    check(next(blocks(PAGE, "json")), tmp_path)
    check((REPOSITORY / "etc" / "camerad" / "example.json").read_text(), tmp_path)
    check(list(blocks(README, "json"))[1], tmp_path)


def test_the_readmes_commands_do_what_it_shows(tmp_path: Path, cameras: Cameras) -> None:
    """In a console block, the lines after a command are what it prints, as far as they are shown."""
    alone = Cameras(tmp_path, ("dome",), use_cases=SMALL).start()
    seen = set()
    for number, block in enumerate(blocks(README, "console")):
        for session in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, _, shown = session.partition("\n")
            command, *arguments = shlex.split(line)
            if Path(command).name != "cam":
                continue
            done = (alone if number == 0 else cameras).cam(*arguments)
            assert (done.returncode, done.stderr) == (0, ""), line
            assert not shown or done.stdout == shown, line
            seen.add(arguments[0] if number == 0 else arguments[-1])
    assert {"exposure", "photo", "get", "list-cameras", "status", "histogram"} <= seen
    assert (cameras.folder / "sky.jpg").is_file()
    assert len(list(cameras.folder.glob("*.dng"))) == 1
    alone.close()


def test_the_readme_names_every_command_and_no_other(cameras: Cameras) -> None:
    has = set(re.findall(r"^  ([\w-]+) ", cameras.cam().stdout.partition("Commands:")[2], re.MULTILINE))
    named = set(re.findall(r"^\|.*", README.read_text(), re.MULTILINE))
    assert {word for row in named for word in re.findall(r"`cam ([a-z-]+)", row)} - {"dome"} == has


def test_the_codes_of_cameras_are_in_the_table() -> None:
    known = {int(code) for code in CommandStatus}
    for code in re.findall(r"\(code (\d+)", PAGE.read_text()):
        assert int(code) in known


def test_the_unit_is_what_systemd_takes(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    unit = tmp_path / "camerad@.service"
    unit.write_text((REPOSITORY / "etc/systemd/camerad@.service").read_text().replace("/usr/bin/camerad", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    allowed = re.findall(r"^DeviceAllow=(\S+)", unit.read_text(), re.MULTILINE)
    page = PAGE.read_text()
    assert all(f"`{name.removeprefix('char-')}`" in page for name in allowed if name != "char-alsa")


def test_completion_in_real_shells(cameras: Cameras) -> None:
    script = (
        'source etc/completion/bash/cam; COMP_WORDS=(cam cam1 sna); COMP_CWORD=2; _cam_completion cam; echo "${COMPREPLY[@]}"; '
        'COMP_WORDS=(cam ca); COMP_CWORD=1; COMPREPLY=(); _cam_completion cam; echo "${COMPREPLY[@]}"'
    )
    env = {**cameras.env, "PATH": f"{SCRIPTS}:{cameras.env['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", script], cwd=REPOSITORY, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "snapshot\ncam1 cam2\n", done
    waiting.until(lambda: cameras.state("cam1") == "idle", 5, "the camera at rest")
