"""Settings under names, and copied between equal cameras."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import webd

ONE, TWO = "/api/v1/cameras/cam1", "/api/v1/cameras/cam2"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webd.Rig]:
    """Two cameras of one model."""
    with webd.running(tmp_path_factory.mktemp("pair"), cameras_named=["cam1", "cam2"]) as found:
        found.web.administrator().close()
        yield found


@pytest.fixture
def browser(pair: webd.Rig) -> Iterator[webd.Browser]:
    """An administrator; both cameras are as configured."""
    with pair.web.administrator() as found:
        for camera in (ONE, TWO):
            found.post(f"{camera}/settings/reset").raise_for_status()
        yield found


def set_controls(browser: webd.Browser, camera: str, **values: object) -> None:
    """One call for each."""
    for name, value in values.items():
        browser.post(f"{camera}/controls", json={"values": {name: value}}).raise_for_status()


def test_what_is_kept_under_a_name_is_told(browser: webd.Browser) -> None:
    set_controls(browser, ONE, Contrast=2.0)
    told = browser.post(f"{ONE}/settings/sets/a b/save").raise_for_status().json()
    kept = browser.get(f"{ONE}/settings/sets/a b").raise_for_status().json()
    assert kept == {"name": "a b", "date": told["saved_at"]["a b"], "use_cases": {}, "controls": {"Contrast": 2.0}}
    assert browser.get(f"{ONE}/settings/sets/none").status_code == 422


def test_a_named_set_is_copied_not_what_holds_now(browser: webd.Browser) -> None:
    set_controls(browser, ONE, Contrast=2.0)
    browser.post(f"{ONE}/use-cases/photo", json={"values": {"size": [128, 72]}}).raise_for_status()
    browser.post(f"{ONE}/settings/sets/night/save").raise_for_status()
    browser.post(f"{ONE}/settings/reset").raise_for_status()
    copied = browser.post(f"{ONE}/settings/sets/night/copy", json={"to": "cam2", "save_as": "from cam1"})
    settings = copied.raise_for_status().json()
    assert settings["controls"] == {"Contrast": 2.0} and settings["saved"] == ["from cam1"]
    assert browser.get(f"{TWO}/use-cases").json()["photo"]["size"] == [128, 72]
    assert browser.get(f"{ONE}/settings").json()["changed"] is False
    kept = browser.get(f"{TWO}/settings/sets/from cam1").json()
    assert kept["controls"] == {"Contrast": 2.0}


def test_settings_of_which_one_rules_another_are_copied_as_they_are(browser: webd.Browser) -> None:
    set_controls(browser, ONE, ColourGains=[2.0, 1.25], AwbEnable=True, LensPosition=3.0, AfMode=2)
    wanted = browser.get(f"{ONE}/settings").json()["controls"]
    copied = browser.post(f"{ONE}/settings/copy", json={"to": "cam2"}).raise_for_status().json()
    assert copied["controls"] == wanted


def test_what_cannot_be_copied_changes_nothing(browser: webd.Browser) -> None:
    set_controls(browser, ONE, Contrast=2.0)
    browser.post(f"{ONE}/settings/sets/night/save").raise_for_status()
    set_controls(browser, TWO, Brightness=0.5)
    for path, body, status in (
        ("sets/none/copy", {"to": "cam2"}, 422),
        ("sets/night/copy", {"to": "cam1"}, 422),
        ("sets/night/copy", {"to": "cam9"}, 404),
        ("sets/night/copy", {"to": "cam2", "save_as": " odd "}, 422),
        ("copy", {"to": "cam2", "save_as": "line\nbreak"}, 422),
        ("sets/night/copy", {}, 422),
    ):
        refused = browser.post(f"{ONE}/settings/{path}", json=body)
        assert refused.status_code == status, (path, body, refused.text)
        assert browser.get(f"{TWO}/settings").json()["controls"] == {"Brightness": 0.5}


def test_a_viewer_reads_sets_and_copies_none(pair: webd.Rig, browser: webd.Browser) -> None:
    browser.post(f"{ONE}/settings/sets/night/save").raise_for_status()
    with pair.web.user("vera", "viewer") as viewer:
        assert viewer.get(f"{ONE}/settings/sets/night").status_code == 200
        assert viewer.post(f"{ONE}/settings/sets/night/copy", json={"to": "cam2"}).status_code == 403
