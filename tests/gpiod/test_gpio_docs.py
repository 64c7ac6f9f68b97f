"""What is written of GPIO devices is true: gpiod's page, the table of devices, the example."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import gpio_daemon
import pytest
from gpio_bench import PINS

from observatory_common.errors import CommandStatus, ExitCode, all_errors
from observatory_gpiod.config import PIN_FACTORIES, SCHEMA
from observatory_gpiod.devices.declared import declared
from observatory_gpiod.devices.table import TYPES
from observatory_gpiod.factories import KEEPING

REPOSITORY = Path(__file__).parents[2]
SCRIPTS = Path(sys.executable).parent
PAGE = REPOSITORY / "docs" / "gpiod.md"
EXAMPLE = REPOSITORY / "etc" / "gpiod" / "example.json"
OF_A_DEVICE = {"id", "type", "label", "on_start", "on_stop", "max_on_time", "initial_value", "initial_angle"}


def code_words(text: str) -> set[str]:
    """What stands in backquotes, outside of blocks."""
    return set(re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)))


def section(title: str) -> str:
    return PAGE.read_text().partition(f"## {title}\n")[2].partition("\n## ")[0]


def rows(text: str) -> Iterator[list[str]]:
    """The cells of each row of the tables, headings included."""
    for line in re.findall(r"^\| (.*) \|$", text, re.MULTILINE):
        yield line.split(" | ")


def test_the_table_of_devices_is_up_to_date() -> None:
    command = [sys.executable, REPOSITORY / "etc/make/gpio-devices"]
    made = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert (REPOSITORY / "docs" / "gpio-devices.md").read_text() == made, "run: make gpio-devices"
    for type in TYPES.values():
        described = made.partition(f"\n## {type.name}\n")[2].partition("\n## ")[0]
        named = [*type.pins, *type.optional_pins, *(one.name for one in (*type.parameters, *type.methods))]
        assert all(f"`{name}`" in described for name in named), type.name


def test_the_page_has_every_key_of_the_config() -> None:
    keys = {cells[0] for cells in rows(section("Configuration")) if cells[0].startswith("`")}
    assert keys >= {f"`{key}`" for key in SCHEMA["properties"]}
    words = code_words(section("Configuration"))
    assert words >= {*SCHEMA["properties"]["simulator"]["properties"], *OF_A_DEVICE, *PIN_FACTORIES}
    for type in TYPES.values():  # each key that is said to be common is one
        pins = PINS.get(type.name, {"pin": 4})
        given = {"label": "x"} | ({"on_start": "off", "on_stop": "off", "max_on_time": 1} if type.is_output else {})
        assert declared({"id": "it", "type": type.name, **pins, **given})[1] == [], type.name


def test_the_page_says_which_factories_keep_levels() -> None:
    found = {cells[0].strip("`"): cells[2] for cells in rows(section("Pin factories")) if cells[0].startswith("`")}
    del found["pin_factory"]
    assert set(found) == set(PIN_FACTORIES)
    assert {name for name, keeps in found.items() if keeps != "no"} == KEEPING


def test_the_page_has_every_method_and_status(tmp_path: Path) -> None:
    with gpio_daemon.daemon(tmp_path, [{"id": "it", "type": "LED", "pin": 4}]) as gpiod, gpiod.connect() as gpio:
        members, status = gpio.hello["members"], gpio.report_status()
    device_keys = {f"{key.removesuffix('_it')}_ID" for key in status if key.endswith("_it")}
    common = {key for key in status if not key.endswith("_it")}
    for method, level in members.items():
        assert re.search(rf"`{method}\(.*\| {level} \|", section("Remote methods")), method
    documented = {word.partition("(")[0] for word in code_words(section("Remote methods")) if "(" in word}
    assert documented - {"connect"} == set(members)
    described = {word for cells in rows(section("Status")) for word in code_words(cells[0])}
    assert {word for word in described if not word.endswith("_ID")} == common
    assert device_keys <= {word for word in described if word.endswith("_ID")}


def test_the_page_has_every_reading_of_every_type() -> None:
    described = {word for cells in rows(section("Status")) for word in code_words(cells[0]) if word.endswith("_ID")}
    table = (REPOSITORY / "docs" / "gpio-devices.md").read_text()
    readings = {word for line in re.findall(r"^In the status: (.*)$", table, re.MULTILINE) for word in code_words(line)}
    of_all = {"type", "label", "since", "running", "job", "set_by", "error"}
    assert described == {f"{key}_ID" for key in readings | of_all}


def test_the_example_is_that_of_the_page_and_passes_its_own_check(tmp_path: Path) -> None:
    (block,) = re.findall(r"^```json\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert json.loads(block) == json.loads(EXAMPLE.read_text())
    file = tmp_path / "page.json"
    file.write_text(block)
    for command in (["gpiod", "--check"], ["observatory", "check"]):
        words = [SCRIPTS / command[0], command[1], file if command[0] == "gpiod" else EXAMPLE]
        done = subprocess.run(words, capture_output=True, text=True, env={"OBSERVATORY_ETC": str(tmp_path)}, check=False)
        assert (done.returncode, done.stderr) == (0, ""), command


def test_the_codes_of_the_page_are_in_the_table() -> None:
    codes = {error.__name__: int(error.code) for error in all_errors().values() if "code" in vars(error)}
    named = re.findall(r"\b(\d+) ([A-Z]\w+)", section("Remote methods"))
    assert {"UnknownDevice", "UnknownMethod", "Uncertain"} <= {name for _, name in named}
    assert all(codes[name] == int(code) for code, name in named)
    for code in re.findall(r"\(code (\d+)", PAGE.read_text()):
        assert int(code) in {int(status) for status in CommandStatus}
    exits = {int(cells[0]) for cells in rows(section("Life")) if cells[0].isdigit()}
    assert exits == {0, ExitCode.Usage, ExitCode.DeviceStuck, ExitCode.BadConfig}


@pytest.mark.parametrize("title", ["Outputs over a restart", "On for too long", "Positions", "Coming from raspiCamSrv"])
def test_what_the_page_names_exists(title: str) -> None:
    """Methods, parameters and readings that a section names are in the table of devices."""
    names = {one.name for type in TYPES.values() for one in (*type.parameters, *type.methods, *type.events)}
    names |= {argument.name for type in TYPES.values() for method in type.methods for argument in method.parameters}
    known = names | OF_A_DEVICE | set(TYPES) | {key.removesuffix("_ID") for key in code_words(section("Status"))}
    remote = {word.partition("(")[0] for word in code_words(section("Remote methods"))}
    theirs = {"close", "current_angle", "device_state/ID.json", "event_log", "background"}
    elsewhere = re.compile(
        r"gpio [a-z-]+.*|kill -9|make test-pi|OBSERVATORY_.*|dtparam=.*|pinctrl_.*|config\.txt|keep|off|on|\".*"
    )
    unknown = {w for w in code_words(section(title)) if w not in known | remote | theirs and not elsewhere.fullmatch(w)}
    assert not unknown
