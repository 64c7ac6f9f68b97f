"""The controls and the saved settings of a camera on the Live page, by a real user's path."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import browsing
import pytest
import waiting
import webd
from playwright.sync_api import Browser, Locator, Page, expect

from observatory_common.rpc.client import RemoteDaemon

_WITHIN_S = 15


@pytest.fixture(autouse=True)
def _as_configured(site: webd.Rig) -> None:
    for daemon in site.cameras.values():
        with daemon.connect() as camera:
            camera.reset_settings()
            for name in camera.settings()["saved"]:
                camera.delete_settings(name)


@pytest.fixture
def cam1(site: webd.Rig) -> Iterator[RemoteDaemon]:
    """The first camera's daemon itself."""
    with site.cameras["cam1"].connect() as camera:
        yield camera


def controls_of(page: Page, camera: str = "cam1") -> Locator:
    """The controls of a camera, unfolded."""
    panel = page.locator(f'[data-camera="{camera}"]')
    expect(panel).to_be_visible()
    unfold(panel, "Controls")
    controls = page.get_by_role("group", name=f"Controls of {camera}")
    expect(control(controls, "ExposureTime")).to_be_visible()
    return controls


def sets_of(page: Page, camera: str = "cam1") -> Locator:
    """The saved settings of a camera, unfolded."""
    panel = page.locator(f'[data-camera="{camera}"]')
    unfold(panel, "Saved settings")
    return panel.locator(".sets")


def unfold(place: Locator, title: str) -> None:
    """Open a part that can be folded."""
    heading = place.locator("summary").filter(has_text=re.compile(f"^{title}"))
    part = heading.locator("..")
    if part.get_attribute("open") is None:
        heading.click()


def control(controls: Locator, name: str) -> Locator:
    """One control, by libcamera's name."""
    return controls.locator(f'[data-control="{name}"]')


def set_to(camera: RemoteDaemon, name: str) -> Any:
    """What the daemon says that a control is set to."""
    return camera.controls()[name]["value"]


def until_set(camera: RemoteDaemon, name: str, value: Any) -> None:
    """Wait until the daemon has it."""
    waiting.until(lambda: set_to(camera, name) == value, _WITHIN_S, f"{name} to be {value}")


def test_a_slider_sets_the_exposure_and_fixes_it(visit: browsing.Visit, cam1: RemoteDaemon) -> None:
    person = visit()
    controls = controls_of(person.go("/live"))
    exposure = control(controls, "ExposureTime")
    expect(exposure.locator(".control-state")).to_have_text("Chosen by auto exposure.")
    expect(exposure.locator(".hint")).to_contain_text("29 µs to 600 s")
    slider = exposure.get_by_role("slider")
    slider.fill("400")
    waiting.until(lambda: set_to(cam1, "ExposureTime"), _WITHIN_S, "an exposure")
    expected = int(exposure.get_by_role("spinbutton").input_value())
    assert set_to(cam1, "ExposureTime") == expected
    assert 29 < expected < 100_000, "the scale goes by factors"
    assert set_to(cam1, "AeEnable") is False
    expect(control(controls, "AeEnable").get_by_role("checkbox")).not_to_be_checked()
    for _ in range(30):
        slider.press("ArrowRight")
    expect(exposure).not_to_have_class(re.compile("pending"))
    last = int(exposure.get_by_role("spinbutton").input_value())
    assert last > expected
    until_set(cam1, "ExposureTime", last)
    gain = control(controls, "AnalogueGain")
    cam1.set_gain(2.0, 0)  # both are fixed now, and go back together: the buttons say so
    for one, label in ((exposure, "Exposure time"), (gain, "Analogue gain")):
        back = one.get_by_role("button", name=f"{label}: back to automatic exposure and gain", exact=True)
        expect(back).to_have_text("Automatic exposure and gain")
    person.check_fits()
    exposure.get_by_role("button", name="Exposure time: back to automatic").click()
    for one in (exposure, gain):
        expect(one.locator(".control-state")).to_have_text("Chosen by auto exposure.")
    assert set_to(cam1, "AeEnable") is True
    person.check_accessible()
    person.check_fits()


def test_a_value_out_of_range_is_refused_and_the_field_shows_what_holds(visit: browsing.Visit, cam1: RemoteDaemon) -> None:
    person = visit()
    person.allow_error("status of 422")
    controls = controls_of(person.go("/live"))
    gain = control(controls, "AnalogueGain")
    field = gain.get_by_label("Analogue gain", exact=True)
    field.fill("2.5")
    field.press("Enter")
    until_set(cam1, "AnalogueGain", 2.5)
    field.fill("99")
    field.press("Enter")
    expect(gain.get_by_role("status")).to_contain_text("expected a number from 1 to 16")
    expect(field).to_have_value("2.5")
    assert set_to(cam1, "AnalogueGain") == 2.5
    field.fill("7")
    field.press("Escape")
    expect(field).to_have_value("2.5")


def test_every_kind_of_control_can_be_set(visit: browsing.Visit, cam1: RemoteDaemon) -> None:
    person = visit()
    controls = controls_of(person.go("/live"))
    unfold(controls, "White balance")
    gains = control(controls, "ColourGains")
    gains.get_by_label("red").fill("2")
    expect(gains.get_by_role("button", name="Set")).to_be_enabled()
    gains.get_by_label("blue").fill("1.25")
    gains.get_by_role("button", name="Set").click()
    until_set(cam1, "ColourGains", [2.0, 1.25])
    expect(control(controls, "AwbEnable").get_by_role("checkbox")).not_to_be_checked()
    expect(control(controls, "AwbMode").locator(".control-state")).to_contain_text("No effect")
    control(controls, "AwbEnable").get_by_role("checkbox").check()
    until_set(cam1, "AwbEnable", True)
    expect(gains.locator(".control-state")).to_have_text("Chosen by auto white balance.")
    control(controls, "AwbMode").get_by_role("combobox").select_option("Daylight")
    until_set(cam1, "AwbMode", 5)
    unfold(controls, "Focus")
    expect(control(controls, "AfWindows").get_by_role("button", name="Add")).to_be_disabled()
    control(controls, "AfMetering").get_by_role("combobox").select_option("Windows")
    windows = control(controls, "AfWindows")
    windows.get_by_role("button", name="Add").click()
    for part, value in (("x", 100), ("y", 200), ("width", 300), ("height", 400)):
        windows.get_by_label(f"1: {part}").fill(str(value))
    windows.get_by_role("button", name="Set").click()
    until_set(cam1, "AfWindows", [[100, 200, 300, 400]])
    control(controls, "AfMode").get_by_role("combobox").select_option("Auto")
    expect(control(controls, "LensPosition").get_by_role("spinbutton")).to_be_disabled()
    control(controls, "AfTrigger").get_by_role("button", name="Start").click()
    waiting.until(lambda: abs(cam1.metadata()["LensPosition"] - 1.0) < 0.2, _WITHIN_S, "the focus")
    unfold(controls, "Picture")
    control(controls, "Contrast").get_by_role("spinbutton").fill("2")
    control(controls, "Contrast").get_by_role("spinbutton").press("Tab")
    until_set(cam1, "Contrast", 2.0)
    controls.get_by_role("button", name="Picture: back to defaults").click()
    until_set(cam1, "Contrast", 1.0)
    for name in ("White balance", "Focus"):
        controls.get_by_role("button", name=f"{name}: back to defaults").click()
    until_set(cam1, "AfMode", 0)
    until_set(cam1, "AwbMode", 0)
    person.check_accessible()


def test_what_the_camera_reports_otherwise_is_marked(visit: browsing.Visit, cam1: RemoteDaemon) -> None:
    """A crop that is too small becomes what the sensor can."""
    person = visit()
    controls = controls_of(person.go("/live"))
    unfold(controls, "Part of the sensor")
    crop = control(controls, "ScalerCrop")
    for part, value in (("x", 200), ("y", 200), ("width", 20), ("height", 20)):
        crop.get_by_label(part, exact=True).fill(str(value))
    crop.get_by_role("button", name="Set").click()
    expect(crop.locator(".control-state")).to_contain_text("but the camera reports")
    expect(crop.locator(".control-state")).to_contain_text("64, 64 pixel")
    expect(crop).to_have_class(re.compile("differs"))
    person.shoot("controls-reports-otherwise")
    crop.get_by_role("button", name="Part that is seen: back to default").click()
    expect(crop).not_to_have_class(re.compile("differs"))
    until_set(cam1, "ScalerCrop", [0, 0, 2560, 1440])


def test_a_long_exposure_is_pending_until_a_frame_has_it(visit: browsing.Visit, cam1: RemoteDaemon) -> None:
    person = visit()
    controls = controls_of(person.go("/live"))
    exposure = control(controls, "ExposureTime")
    field = exposure.get_by_label("Exposure time (µs)", exact=True)
    state = exposure.locator(".control-state")
    watch = "new MutationObserver(() => (told.dataset.said = `${told.dataset.said ?? ''} ${told.textContent}`))"
    state.evaluate(f"told => {watch}.observe(told, {{childList: true}})")
    field.fill("4000000")
    field.press("Enter")
    expect(state).to_have_text("No frame has confirmed it yet.")
    expect(state).to_be_hidden()
    assert cam1.metadata()["ExposureTime"] == pytest.approx(4_000_000, rel=0.01)
    assert "reports" not in str(state.get_attribute("data-said")), "no frame could have had it"
    control(controls, "AeEnable").get_by_role("checkbox").check()
    until_set(cam1, "AeEnable", True)
    waiting.until(lambda: cam1.metadata()["ExposureTime"] < 100_000, _WITHIN_S, "short exposures")


def test_what_a_shell_changes_appears_and_overwrites_nothing(visit: browsing.Visit, cam1: RemoteDaemon) -> None:
    person = visit()
    controls = controls_of(person.go("/live"))
    gain, bias = control(controls, "AnalogueGain"), control(controls, "ExposureValue")
    field = bias.get_by_role("spinbutton")
    field.fill("1.5")
    cam1.set_controls({"ExposureValue": -2.0, "AnalogueGain": 4.0})
    expect(gain.get_by_role("spinbutton")).to_have_value("4")
    expect(bias.locator(".control-state")).to_have_text("Now -2 EV: changed elsewhere.")
    expect(field).to_have_value("1.5")
    field.press("Escape")
    expect(field).to_have_value("-2")
    field.fill("1.25")
    field.press("Enter")
    until_set(cam1, "ExposureValue", 1.25)


def test_a_value_that_changes_under_the_caret_mixes_with_nothing_typed(visit: browsing.Visit, cam1: RemoteDaemon) -> None:
    person = visit()
    page = person.go("/live")
    controls = controls_of(page)
    cam1.set_controls({"AnalogueGain": 1.5})
    gain, exposure = control(controls, "AnalogueGain"), control(controls, "ExposureTime")
    field = gain.get_by_role("spinbutton")
    expect(field).to_have_value("1.5")
    field.click()
    page.keyboard.press("End")
    cam1.set_controls({"AnalogueGain": 2.0})
    expect(gain.locator(".control-state")).to_have_text("Now 2: changed elsewhere.")
    expect(field).to_have_value("1.5")
    page.keyboard.type("5")
    page.keyboard.press("Enter")
    until_set(cam1, "AnalogueGain", 1.55)
    cam1.set_controls({"AnalogueGain": 3.0})
    expect(field).to_have_value("3")  # the caret is still there, but what was typed is sent
    page.keyboard.press("Home")
    cam1.set_controls({"AnalogueGain": 4.0})
    expect(gain.locator(".control-state")).to_have_text("Now 4: changed elsewhere.")
    exposure.get_by_role("spinbutton").focus()
    expect(field).to_have_value("4")
    field.focus()
    cam1.set_controls({"AnalogueGain": 6.0})
    expect(gain.locator(".control-state")).to_have_text("Now 6: changed elsewhere.")
    page.keyboard.press("Enter")  # nothing was typed: nothing is set
    expect(field).to_have_value("6")
    expect(gain.locator(".control-state")).to_be_hidden()
    assert set_to(cam1, "AnalogueGain") == 6.0
    unfold(controls, "White balance")
    gains = control(controls, "ColourGains")
    cam1.set_controls({"AwbEnable": False, "ColourGains": (1.5, 2.5)})
    expect(gains.get_by_label("blue")).to_have_value("2.5")
    gains.get_by_label("blue").focus()
    cam1.set_controls({"ColourGains": (3.0, 3.0)})
    expect(gains.locator(".control-state")).to_have_text("Now 3, 3: changed elsewhere.")
    expect(gains.get_by_label("blue")).to_have_value("2.5")
    gains.get_by_label("red").focus()
    expect(gains.get_by_label("blue")).to_have_value("2.5")  # still among these numbers
    field.focus()
    expect(gains.get_by_label("red")).to_have_value("3")


def test_two_users_see_each_others_changes(visit: browsing.Visit, cam1: RemoteDaemon, site: webd.Rig) -> None:
    site.web.user("olga", "operator").close()
    here, there = visit(), visit(user="olga")
    mine, others = controls_of(here.go("/live")), controls_of(there.go("/live"))
    field = control(mine, "AnalogueGain").get_by_role("spinbutton")
    field.fill("3")
    field.press("Enter")
    expect(control(others, "AnalogueGain").get_by_role("spinbutton")).to_have_value("3")
    expect(control(others, "AeEnable").get_by_role("checkbox")).not_to_be_checked()


def test_a_viewer_sees_all_and_changes_nothing(visit: browsing.Visit, site: webd.Rig) -> None:
    site.web.user("vera", "viewer").close()
    person = visit(user="vera")
    page = person.go("/live")
    controls = controls_of(page)
    expect(controls).to_contain_text("Only an operator may change these.")
    expect(control(controls, "ExposureTime").get_by_role("spinbutton")).to_be_disabled()
    expect(control(controls, "AeEnable").get_by_role("checkbox")).to_be_disabled()
    sets = sets_of(page)
    expect(sets.get_by_role("button", name="Save")).to_be_disabled()
    expect(sets.get_by_role("button", name="Reset all")).to_be_disabled()
    person.check_accessible()


def test_a_change_is_kept_when_the_daemon_is_killed_at_once(browser: Browser, tmp_path: Path) -> None:
    with (
        webd.running(tmp_path, cameras_named=["cam1"]) as rig,
        rig.web.administrator(),
        browsing.person(browser, rig.web.url) as person,
    ):
        person.log_in()
        daemon = rig.cameras["cam1"]
        field = control(controls_of(person.go("/live")), "AnalogueGain").get_by_role("spinbutton")
        with daemon.connect() as camera:
            field.fill("5")
            field.press("Enter")
            until_set(camera, "AnalogueGain", 5.0)
        daemon.kill()
        expect(field).to_be_disabled()
        daemon.start()
        with daemon.connect() as camera:
            assert set_to(camera, "AnalogueGain") == 5.0
            expect(field).to_be_enabled()
            expect(field).to_have_value("5")
            camera.set_controls({"AnalogueGain": 6.0})
            expect(field).to_have_value("6")
        person.allow_error("status of 503")


def test_settings_are_saved_loaded_copied_and_forgotten(visit: browsing.Visit, site: webd.Rig, cam1: RemoteDaemon) -> None:
    person = visit()
    page = person.go("/live")
    cam1.set_controls({"Contrast": 2.0})
    sets = sets_of(page)
    expect(sets).to_contain_text("Settings differ from the camera's configuration.")
    sets.get_by_label("Keep the present settings as").fill("bright stars")
    sets.get_by_role("button", name="Save").click()
    row = sets.get_by_role("row").filter(has_text="bright stars")
    expect(row).to_contain_text(re.compile(r"\d{1,2}:\d\d"))
    assert cam1.saved_settings("bright stars")["controls"] == {"Contrast": 2.0}
    sets.get_by_role("button", name="Reset all to defaults").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    assert set_to(cam1, "Contrast") == 2.0
    sets.get_by_role("button", name="Reset all to defaults").click()
    page.get_by_role("dialog").get_by_role("button", name="Reset all").click()
    expect(sets).to_contain_text("All is as the camera's configuration says.")
    assert cam1.settings()["changed"] is False
    sets.get_by_role("button", name="Load bright stars").click()
    until_set(cam1, "Contrast", 2.0)
    cam1.set_controls({"Contrast": 3.0})
    with site.cameras["cam2"].connect() as cam2:
        sets.get_by_label("What to copy").select_option("bright stars")
        sets.get_by_label("To camera").select_option("cam2")
        sets.get_by_label("Keep there as").fill("from cam1")
        sets.get_by_role("button", name="Copy").click()
        until_set(cam2, "Contrast", 2.0)
        expect(sets_of(page, "cam2").get_by_role("button", name="Load from cam1")).to_be_visible()
        assert cam2.saved_settings("from cam1")["controls"] == {"Contrast": 2.0}
        sets.get_by_label("What to copy").select_option("the present settings")
        sets.get_by_label("Keep there as").fill("")
        sets.get_by_role("button", name="Copy").click()
        until_set(cam2, "Contrast", 3.0)
        assert cam2.settings()["saved"] == ["from cam1"]
    person.check_accessible()
    person.shoot("controls-sets")
    sets.get_by_role("button", name="Delete bright stars").click()
    page.get_by_role("dialog").get_by_role("button", name="Forget").click()
    expect(sets).to_contain_text("None are saved under a name.")
    assert cam1.settings()["saved"] == []


def test_the_controls_on_a_phone(visit: browsing.Visit, cam1: RemoteDaemon) -> None:
    person = visit(phone=True)
    page = person.go("/live")
    controls = controls_of(page)
    control(controls, "ExposureTime").get_by_role("slider").fill("500")
    waiting.until(lambda: set_to(cam1, "ExposureTime"), _WITHIN_S, "an exposure")
    control(controls, "AnalogueGain").scroll_into_view_if_needed()
    person.shoot("controls-phone")
    for group in ("White balance", "Picture", "Focus", "Part of the sensor"):
        unfold(controls, group)
    sets_of(page)
    person.check_fits()
    person.check_accessible()
