"""Settings that are kept under names, and taken over from an equal camera."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cameras import FAST, Camerad

from observatory_common.errors import CommandFailed, InvalidArgument
from observatory_common.rpc.client import RemoteDaemon
from observatory_common.storage import write_atomic


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Camerad]:
    running = Camerad(tmp_path_factory.mktemp("camerad"), **FAST)
    running.start()
    yield running
    running.end()


@pytest.fixture
def camera(daemon: Camerad) -> Iterator[RemoteDaemon]:
    with daemon.connect() as connected:
        connected.reset_settings()
        yield connected


def test_what_was_kept_is_told_with_its_date(camera: RemoteDaemon) -> None:
    camera.set_controls({"ColourGains": [2.0, 1.25]})
    camera.set_use_case("photo", {"size": [128, 72]})
    told = camera.save_settings("night")
    camera.reset_settings()
    kept = camera.saved_settings("night")
    assert kept["controls"] == {"ColourGains": [2.0, 1.25]}
    assert kept["use_cases"]["photo"]["size"] == [128, 72]
    assert kept["name"] == "night" and kept["date"] == told["saved_at"]["night"]
    assert abs(datetime.now(UTC) - datetime.fromisoformat(kept["date"])) < timedelta(minutes=1)
    for name in ("day", "", 5, None):
        with pytest.raises(InvalidArgument, match="name is"):
            camera.saved_settings(name)


def test_sets_of_older_versions_have_no_date_and_unreadable_ones_say_so(tmp_path_factory: pytest.TempPathFactory) -> None:
    daemon = Camerad(tmp_path_factory.mktemp("older"), **FAST)
    old = {"use_cases": {}, "controls": {"Contrast": 2.0}}
    state = {
        "version": 1,
        "use_cases": {},
        "controls": {},
        "sets": {"a/b": old, "old": old, "odd": {"use_cases": 5}, "none": None},
    }
    daemon.state_folder.mkdir(parents=True)
    write_atomic(daemon.state_folder / "settings.json", json.dumps(state).encode())
    daemon.start()
    with daemon.connect() as camera:
        assert camera.settings()["saved_at"] == {"a/b": None, "old": None, "odd": None, "none": None}
        assert camera.saved_settings("old") == {"name": "old", "date": None, **old}
        for name in ("odd", "none"):
            with pytest.raises(CommandFailed, match="cannot be read"):
                camera.saved_settings(name)
        camera.load_settings("a/b")  # a name that is refused by now
        assert camera.settings()["controls"] == old["controls"]
        camera.delete_settings("a/b")
        assert "a/b" not in camera.settings()["saved"]
    daemon.end()


def test_every_change_has_another_revision(camera: RemoteDaemon) -> None:
    def revision() -> int:
        return camera.report_status()["settings_revision"]

    before = revision()
    camera.set_controls({"Contrast": 1.5})
    changed = revision()
    assert changed > before
    camera.set_controls({"Contrast": 1.5})
    assert revision() == changed, "nothing new"
    camera.save_settings("again")
    assert revision() > changed


def test_an_equal_cameras_settings_are_taken_over_as_a_whole(camera: RemoteDaemon) -> None:
    """Also those of which one keeps another from having an effect, which set_controls refuses together."""
    camera.set_controls({"ColourGains": [2.0, 1.25]})
    camera.set_controls({"AwbEnable": True})
    camera.set_controls({"LensPosition": 3.0})
    camera.set_controls({"AfMode": 2})
    camera.set_use_case("photo", {"size": [128, 72]})
    wanted = camera.settings()
    camera.reset_settings()
    camera.set_controls({"Brightness": 0.5})
    answer = camera.apply_settings(wanted["use_cases"], wanted["controls"])
    assert (answer["use_cases"], answer["controls"]) == (wanted["use_cases"], wanted["controls"])
    assert camera.use_cases()["photo"]["size"] == [128, 72]
    assert camera.apply_settings({}, {"AfTrigger": 0})["changed"] is False, "what starts something is no setting"


@pytest.mark.parametrize(
    ("use_cases", "controls"),
    [
        ([], {}),
        ({}, None),
        ({"photo": 5}, {}),
        ({"film": {}}, {}),
        ({"photo": {"size": "large"}}, {}),
        ({"photo": {"stream": 5, "size": [64, 36]}}, {}),
        ({"photo": {"mode": 99}}, {}),
        ({"photo": {"size": [64, 36], "colour": 1}}, {}),
        ({"photo": {"size": [64, 36]}}, {"Contrast": 99.0}),
        ({}, {"Nonsense": 1}),
        ({}, {"ScalerCrop": [[1, 2], 3, 4, 5]}),
    ],
)
def test_what_does_not_fit_changes_nothing(use_cases: Any, controls: Any, camera: RemoteDaemon) -> None:
    camera.set_controls({"Brightness": 0.25})
    before = camera.settings(), camera.use_cases()
    with pytest.raises(InvalidArgument) as refused:
        camera.apply_settings(use_cases, controls)
    assert len(str(refused.value)) > 10
    assert (camera.settings(), camera.use_cases()) == before
