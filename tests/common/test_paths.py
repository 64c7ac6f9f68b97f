"""Where files are looked for: an option before the environment, that before the site, the packaged site last."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from observatory_common import paths
from observatory_common.errors import InvalidConfig

VARIABLES = (
    "OBSERVATORY_ETC",
    "OBSERVATORY_RUN",
    "XDG_RUNTIME_DIR",
    "XDG_STATE_HOME",
    "STATE_DIRECTORY",
    "FOCUSD_CONFIG_PATH",
)


@pytest.fixture(autouse=True)
def etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty /etc of our own, an empty home, and none of the variables that lead elsewhere."""
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    folder = tmp_path / "etc"
    folder.mkdir()
    monkeypatch.setenv("OBSERVATORY_ETC", str(folder))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return folder


def config(folder: Path, *names: str) -> list[Path]:
    """Empty configs of these names."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text("{}")
    return [folder / name for name in names]


def test_etc_is_the_machines_own_unless_named(etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert paths.etc_root() == etc
    for absent in (lambda: monkeypatch.setenv("OBSERVATORY_ETC", ""), lambda: monkeypatch.delenv("OBSERVATORY_ETC")):
        absent()
        assert paths.etc_root() == Path("/etc")


def test_the_packaged_site_has_all_that_a_simulated_run_needs() -> None:
    site = paths.packaged_site()
    assert (site / "observatory" / "machines.json").is_file()
    assert (site / "observatory" / "daemons.json").is_file()
    instances = {kind: [paths.instance_of(path) for path in paths.list_configs(kind)] for kind in paths.KINDS}
    assert instances == {
        "focusd": ["test"],
        "camerad": ["cam1", "cam2"],
        "gpiod": ["test"],
        "ftpd": ["drop"],
        "webd": ["test"],
    }


@pytest.mark.parametrize(
    ("installed", "registry_is_packaged", "kind_is_packaged"),
    [
        ([], True, True),
        (["focusd"], True, False),
        (["observatory"], False, False),
        (["focusd", "observatory"], False, False),
    ],
)
def test_an_installed_site_never_leads_to_the_simulated_focuser(
    installed: list[str], registry_is_packaged: bool, kind_is_packaged: bool, etc: Path
) -> None:
    for folder in installed:
        (etc / folder).mkdir()
    site = paths.packaged_site()
    assert paths.registry_folder() == (site if registry_is_packaged else etc) / "observatory"
    assert paths.kind_folder("focusd") == (site if kind_is_packaged else etc) / "focusd"


def test_a_file_in_the_place_of_a_folder_is_no_site(etc: Path) -> None:
    (etc / "observatory").write_text("")
    (etc / "focusd").write_text("")
    assert paths.registry_folder() == paths.packaged_site() / "observatory"
    assert paths.kind_folder("focusd") == paths.packaged_site() / "focusd"


def test_the_option_is_before_the_variable_and_that_before_the_site(etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (site,) = config(etc / "focusd", "site.json")
    (named,) = config(etc / "b", "named.json")
    (option,) = config(etc / "c", "option.json")
    assert paths.find_config("focusd") == site
    for variable in (named, named.parent):
        monkeypatch.setenv("FOCUSD_CONFIG_PATH", str(variable))
        assert paths.find_config("focusd") == named
        assert paths.find_config("focusd", str(option)) == paths.find_config("focusd", str(option.parent)) == option
    monkeypatch.setenv("FOCUSD_CONFIG_PATH", "")
    assert paths.find_config("focusd") == site


def test_only_the_variable_of_its_own_kind_counts(etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (site,) = config(etc / "focusd", "site.json")
    (other,) = config(etc / "other", "other.json")
    monkeypatch.setenv("CAMERAD_CONFIG_PATH", str(other))
    assert paths.find_config("focusd") == site
    assert paths.find_config("camerad") == other


def test_several_configs_are_named_and_none_is_guessed(etc: Path) -> None:
    config(etc / "focusd", "west.json", "east.json", "notes.txt")
    with pytest.raises(InvalidConfig, match=r"holds east\.json, west\.json; name one with --config FILE") as refused:
        paths.find_config("focusd")
    assert str(etc / "focusd") in str(refused.value)
    assert "FOCUSD_CONFIG_PATH" in str(refused.value)
    assert "notes.txt" not in str(refused.value)


def test_an_empty_folder_and_one_that_is_not_there(etc: Path) -> None:
    (etc / "focusd").mkdir()
    with pytest.raises(InvalidConfig, match="holds none"):
        paths.find_config("focusd")
    for absent in ("nowhere.json", "a\0b"):
        with pytest.raises(InvalidConfig, match=r"there is no .*FOCUSD_CONFIG_PATH"):
            paths.find_config("focusd", str(etc / absent))


def test_what_is_no_regular_file_is_no_config(etc: Path) -> None:
    os.mkfifo(etc / "pipe.json")
    with pytest.raises(InvalidConfig, match="there is no"):
        paths.find_config("focusd", str(etc / "pipe.json"))


def test_the_configs_of_a_kind_by_name(etc: Path) -> None:
    assert paths.list_configs("focusd") == [paths.packaged_site() / "focusd" / "test.json"]
    config(etc / "focusd", "west.json", "east.json", "east.json.bak", ".json~")
    assert [path.name for path in paths.list_configs("focusd")] == ["east.json", "west.json"]
    (etc / "observatory").mkdir()
    assert paths.list_configs("camerad") == []


def test_a_folder_that_may_not_be_read_is_not_taken_for_an_empty_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as etc:
        Path(etc).chmod(0o755)
        folder = Path(etc) / "ftpd"
        folder.mkdir(0o000)
        monkeypatch.setenv("OBSERVATORY_ETC", etc)
        me = os.geteuid()
        try:
            if me == 0:
                os.seteuid(65534)  # nobody: root may read everything
            with pytest.raises(InvalidConfig, match="ftpd cannot be read: Permission denied"):
                paths.list_configs("ftpd")
        finally:
            os.seteuid(me)


@pytest.mark.parametrize(
    ("name", "instance"),
    [("east.json", "east"), ("a.b.json", "a.b"), ("east", "east"), ("json.json.json", "json.json")],
)
def test_an_instance_has_the_name_of_its_file(name: str, instance: str) -> None:
    assert paths.instance_of(Path("/etc/focusd") / name) == instance


def test_where_state_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    state = [paths.state_folder("focusd", "east", None)]
    monkeypatch.setenv("XDG_STATE_HOME", "/xdg")
    state.append(paths.state_folder("focusd", "east", None))
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/focusd/east")
    state.append(paths.state_folder("focusd", "east", None))
    state.append(paths.state_folder("focusd", "east", "/configured"))
    assert state == [
        home / ".local" / "state" / "observatory" / "focusd" / "east",
        Path("/xdg/observatory/focusd/east"),
        Path("/var/lib/focusd/east"),
        Path("/configured"),
    ]


def test_two_instances_never_share_their_state() -> None:
    folders = {paths.state_folder(kind, name, None) for kind in ("focusd", "camerad") for name in ("east", "west")}
    assert len(folders) == 4


def test_where_ports_and_links_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = [paths.runtime_folder()]
    named = {"XDG_STATE_HOME": "/xdg", "XDG_RUNTIME_DIR": "/run/user/7", "OBSERVATORY_RUN": "/run/o"}
    for variable, value in named.items():
        monkeypatch.setenv(variable, value)
        run.append(paths.runtime_folder())
    assert run == [
        tmp_path / "home" / ".local" / "state" / "observatory" / "run",
        Path("/xdg/observatory/run"),
        Path("/run/user/7/observatory"),
        Path("/run/o"),
    ]
