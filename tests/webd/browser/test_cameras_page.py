"""The cameras page as people use it: what a camera can do, use cases changed and refused, a camera shut down and away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import browsing
import pytest
import waiting
import webd
from playwright.sync_api import Browser, Locator, Page, Route, expect

VIEWER = "vera"
SLOW_MS = 20_000


@pytest.fixture
def cam1(site: webd.Rig) -> Any:
    """The daemon of cam1, as it was configured."""
    with site.cameras["cam1"].connect() as daemon:
        daemon.reset_settings()
        yield daemon


def panel(page: Page, camera: str = "cam1") -> Locator:
    return page.locator(f"section[data-camera={camera}]")


def form(page: Page, use_case: str, camera: str = "cam1") -> Locator:
    found = panel(page, camera).locator(f"form[data-case={use_case}]")
    expect(found.get_by_label("Width")).not_to_have_value("", timeout=SLOW_MS)
    return found


def set_size(place: Locator, width: object, height: object) -> None:
    place.get_by_label("Width").fill(str(width))
    place.get_by_label("Height").fill(str(height))


def test_what_a_camera_is_and_can_do(visit: browsing.Visit, cam1: Any) -> None:
    can = cam1.capabilities()
    person = visit()
    page = person.go("/cameras")
    for camera in ("cam1", "cam2"):
        expect(panel(page, camera).get_by_role("region", name="Modes of the sensor")).to_be_visible(timeout=SLOW_MS)
    place = panel(page)
    expect(place).to_contain_text(can["model"])
    expect(place).to_contain_text("2560 × 1440 pixels")
    expect(place).to_contain_text(", ".join(can["features"]))
    expect(place).to_contain_text(f"version {cam1.report_status()['software_version']}")
    rows = place.get_by_role("region", name="Modes of the sensor").locator("tbody tr")
    expect(rows).to_have_count(len(can["modes"]))
    expect(rows.first).to_contain_text("1280 × 720")
    expect(rows.first).to_contain_text("SRGGB12")
    expect(rows.first).to_contain_text("to 120")
    for name, case in cam1.use_cases().items():
        expect(form(page, name).get_by_label("Width")).to_have_value(str(case["size"][0]))
        expect(form(page, name).get_by_label("Format")).to_have_value(case["format"])
    person.check_accessible()
    person.check_fits()
    person.shoot("cameras-desktop")


def test_a_use_case_is_changed_and_the_live_view_has_its_size(visit: browsing.Visit, cam1: Any) -> None:
    page = visit().go("/cameras")
    live = form(page, "live")
    expect(live.get_by_role("button", name="Save")).to_be_disabled()
    set_size(live, 80, 45)
    live.get_by_label("Buffers").fill("6")
    live.get_by_role("button", name="Save").click()
    expect(page.locator("#notes")).to_contain_text("live of cam1 is 80 × 44", timeout=SLOW_MS)
    expect(live.get_by_label("Height")).to_have_value("44")
    case = cam1.use_cases()["live"]
    assert (case["size"], case["buffer_count"]) == ([80, 44], 6)
    assert cam1.report_status()["streams"]["lores"]["size"] == [80, 44]
    expect(live).to_contain_text("changed")
    expect(panel(page)).to_contain_text("lores 80 × 44 YUV420")
    size = """async () => {
      const module = await import("/static/kit/live.js");
      const canvas = document.createElement("canvas");
      const view = new module.LiveView(canvas, { camera: "cam1" });
      view.start();
      await new Promise(done => view.addEventListener("frame", done));
      view.stop();
      return [canvas.width, canvas.height];
    }"""
    assert page.evaluate(size) == [80, 44]


def test_what_the_camera_refuses_stands_at_the_field(visit: browsing.Visit, cam1: Any) -> None:
    before = cam1.use_cases()
    person = visit()
    person.allow_error("status of 422")
    page = person.go("/cameras")
    live = form(page, "live")
    set_size(live, 99999, 36)
    live.get_by_role("button", name="Save").click()
    error = live.get_by_role("alert")
    expect(error).to_contain_text("size is 99999, expected a whole number from 16 to 2560", timeout=SLOW_MS)
    expect(live.get_by_label("Width")).to_have_attribute("aria-invalid", "true")
    person.check_accessible()
    person.shoot("cameras-refused-desktop")
    set_size(live, "wide", 36)
    live.get_by_role("button", name="Save").click()
    expect(error).to_contain_text("size is 'wide'")
    set_size(live, *before["live"]["size"])
    live.get_by_label("Buffers").fill("99")
    live.get_by_role("button", name="Save").click()
    expect(error).to_contain_text("buffer_count is 99")
    live.get_by_role("button", name="Undo").click()
    expect(live.get_by_label("Buffers")).to_have_value("4")
    expect(live.get_by_role("alert")).to_have_count(0)
    assert cam1.use_cases() == before


def test_a_use_case_has_controls_of_its_own(visit: browsing.Visit, cam1: Any) -> None:
    person = visit()
    person.allow_error("status of 422")
    page = person.go("/cameras")
    photo = form(page, "photo")
    photo.get_by_text("Controls of its own").click()
    photo.get_by_label("Control to add").select_option("Brightness")
    photo.get_by_role("button", name="Add").click()
    photo.get_by_label("Brightness", exact=True).fill("9")
    photo.get_by_role("button", name="Save").click()
    expect(photo.get_by_role("alert")).to_contain_text("Brightness is 9, expected a number from -1.0 to 1.0", timeout=SLOW_MS)
    photo.get_by_label("Brightness", exact=True).fill("0.25")
    photo.get_by_role("button", name="Save").click()
    waiting.until(lambda: cam1.use_cases()["photo"]["controls"] == {"Brightness": 0.25}, 15, "the control")
    expect(page.locator("#notes")).to_contain_text("photo of cam1 is")  # Save is disabled before the answer is there too
    expect(photo.get_by_role("button", name="Save")).to_be_disabled()
    photo.get_by_role("button", name="Remove Brightness").click()
    photo.get_by_role("button", name="Save").click()
    waiting.until(lambda: cam1.use_cases()["photo"]["controls"] == {}, 15, "no control")


def test_what_another_changes_appears_and_spares_what_is_typed(visit: browsing.Visit, cam1: Any) -> None:
    page = visit().go("/cameras")
    live, video = form(page, "live"), form(page, "video")
    set_size(video, 128, 72)
    cam1.set_use_case("live", {"size": [48, 26]})
    expect(live.get_by_label("Width")).to_have_value("48", timeout=SLOW_MS)
    expect(video.get_by_label("Width")).to_have_value("128")
    cam1.set_use_case("video", {"size": [112, 62]})
    expect(video).to_contain_text("It was changed elsewhere to 112 × 62", timeout=SLOW_MS)
    expect(video.get_by_label("Width")).to_have_value("128")
    video.get_by_role("button", name="Undo").click()
    expect(video.get_by_label("Width")).to_have_value("112")


def test_what_is_saved_is_what_the_form_shows_though_another_changed_it(visit: browsing.Visit, cam1: Any) -> None:
    page = visit().go("/cameras")
    photo = form(page, "photo")
    expect(photo.get_by_label("Format")).to_have_value("RGB888")
    set_size(photo, 640, 362)
    cam1.set_use_case("photo", {"format": "YUV420"})
    expect(photo).to_contain_text("YUV420. Undo shows it; Save puts yours in its place.", timeout=SLOW_MS)
    expect(photo.get_by_label("Format")).to_have_value("RGB888")
    photo.get_by_role("button", name="Save").click()
    expect(page.locator("#notes")).to_contain_text("photo of cam1 is 640 × 362 RGB888 now", timeout=SLOW_MS)
    case = cam1.use_cases()["photo"]
    assert (case["size"], case["format"]) == ([640, 362], "RGB888")


def test_a_use_case_that_the_camera_has_no_longer_keeps_what_is_typed(visit: browsing.Visit, cam1: Any) -> None:
    page = visit().go("/cameras")
    raw = form(page, "raw")
    set_size(raw, 128, 72)

    def without_raw(route: Route) -> None:
        cases = route.fetch().json()
        del cases["raw"]
        route.fulfill(json=cases)

    page.route("**/cameras/cam1/use-cases", without_raw)
    expect(raw).to_contain_text("The camera has it no longer.", timeout=SLOW_MS)
    expect(raw.get_by_label("Width")).to_have_value("128")
    page.unroute_all(behavior="wait")  # the page may be asking just now


def test_back_to_the_configuration(visit: browsing.Visit, cam1: Any) -> None:
    cam1.set_use_case("live", {"size": [48, 26]})
    page = visit().go("/cameras")
    expect(form(page, "live").get_by_label("Width")).to_have_value("48")
    panel(page).get_by_role("button", name="Back to the configuration").click()
    page.get_by_role("dialog").get_by_role("button", name="Back to the configuration").click()
    expect(form(page, "live").get_by_label("Width")).to_have_value("64", timeout=SLOW_MS)
    assert not cam1.settings()["changed"]
    expect(panel(page).get_by_role("button", name="Back to the configuration")).to_be_disabled()


def test_a_camera_is_shut_down_and_opened_again(visit: browsing.Visit, site: webd.Rig) -> None:
    person = visit()
    page = person.go("/cameras")
    live = form(page, "live", "cam2")
    with site.cameras["cam2"].connect() as daemon:
        panel(page, "cam2").get_by_role("button", name="Shut down").click()
        page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
        assert daemon.report_status()["state"] == "idle"
        panel(page, "cam2").get_by_role("button", name="Shut down").click()
        page.get_by_role("dialog").get_by_role("button", name="Shut down").click()
        waiting.until(lambda: daemon.report_status()["state"] == "offline", 15, "the camera to be shut down")
        expect(panel(page, "cam2")).to_contain_text("offline", timeout=SLOW_MS)
        expect(live.get_by_label("Width")).to_be_disabled()
        expect(form(page, "live").get_by_label("Width")).to_be_enabled()
        panel(page, "cam2").get_by_role("button", name="Initialize").click()
        page.get_by_role("dialog").get_by_role("button", name="Initialize").click()
        waiting.until(lambda: daemon.report_status()["state"] == "idle", 15, "the camera to be open")
    expect(form(page, "live", "cam2").get_by_label("Width")).to_be_enabled(timeout=SLOW_MS)


def test_a_viewer_sees_and_cannot_change(visit: browsing.Visit, site: webd.Rig, cam1: Any) -> None:
    site.web.user(VIEWER, "viewer").close()
    page = visit(user=VIEWER).go("/cameras")
    live = form(page, "live")
    expect(live.get_by_label("Width")).to_have_value("64")
    expect(live.get_by_label("Width")).to_be_disabled()
    for name in ("Save", "Shut down", "Initialize", "Back to the configuration"):
        expect(panel(page).get_by_role("button", name=name)).to_have_count(0)


def test_cameras_on_a_phone(visit: browsing.Visit, cam1: Any) -> None:
    person = visit(phone=True)
    page = person.go("/cameras")
    live = form(page, "live")
    person.check_fits()
    person.check_accessible()
    person.shoot("cameras-phone")
    set_size(live, 80, 44)
    live.get_by_role("button", name="Save").click()
    waiting.until(lambda: cam1.use_cases()["live"]["size"] == [80, 44], 15, "the size")
    live.scroll_into_view_if_needed()
    person.shoot("cameras-form-phone")


def test_a_camera_that_is_away_says_so_and_comes_back(browser: Browser, tmp_path: Path) -> None:
    with (
        webd.running(tmp_path, cameras_named=["cam1", "cam2"]) as rig,
        browsing.person(browser, rig.web.url) as person,
    ):
        rig.web.administrator().close()
        person.log_in()
        person.allow_error("status of 503")
        page = person.go("/cameras")
        live = form(page, "live", "cam2")
        rig.cameras["cam2"].kill()
        away = panel(page, "cam2").locator(".away")
        expect(away).to_contain_text("Not reachable since", timeout=SLOW_MS)
        expect(live.get_by_label("Width")).to_be_disabled()
        expect(panel(page, "cam2").get_by_role("button", name="Shut down")).to_be_disabled()
        expect(panel(page, "cam1").get_by_role("button", name="Shut down")).to_be_enabled()
        expect(form(page, "live").get_by_label("Width")).to_be_enabled()
        page.reload()
        expect(away).to_contain_text("Not reachable since", timeout=SLOW_MS)
        rig.cameras["cam2"].start()
        expect(form(page, "live", "cam2").get_by_label("Width")).to_be_enabled(timeout=SLOW_MS)
        expect(away).to_be_hidden()
