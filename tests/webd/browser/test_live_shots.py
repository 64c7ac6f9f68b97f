"""Photos, raw frames and video from the Live page, and what others see of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import browsing
import live_pages
import pytest
import waiting
import webd
from playwright.sync_api import Browser, expect
from small_disk import SmallDisk

site = live_pages.site


@pytest.fixture(autouse=True)
def no_recording(site: webd.Rig) -> Iterator[None]:
    """A test that fails leaves no recording to the next."""
    yield
    for camera in site.cameras.values():
        with camera.connect() as daemon:
            if daemon.report_status()["recording"]:
                daemon.stop_video()
                waiting.until(lambda: not daemon.report_status()["recording"], 10, "the recording to end")


@pytest.mark.parametrize("phone", [False, True], ids=["desktop", "phone"])
def test_a_photo_is_taken_and_seen_by_all(visit: browsing.Visit, site: webd.Rig, phone: bool) -> None:
    person, other = visit(phone=phone), visit()
    camera = site.cameras["cam1"]
    before = set(camera.output.glob("*.jpg")) if camera.output.exists() else set()
    cam1 = live_pages.panel(person.page, "cam1")
    cam1.get_by_role("button", name="Photo", exact=True).click()
    waiting.until(lambda: set(camera.output.glob("*.jpg")) - before, 15, "a photo in camerad's folder")
    name = max(path.name for path in set(camera.output.glob("*.jpg")) - before if ".thumb." not in path.name)
    for one in (person, other):
        last = live_pages.panel(one.page, "cam1").get_by_role("region", name="Last shot of cam1")
        expect(last.get_by_role("link", name=name)).to_be_visible()
        expect(last.get_by_role("img", name="Last shot of cam1")).to_be_visible()
        one.page.wait_for_function("document.querySelector('[data-camera=cam1] .live-thumbnail')?.naturalWidth > 0")
        for what in ("ExposureTime", "AnalogueGain", "ColourTemperature", "LensPosition"):
            expect(last.get_by_text(what, exact=True)).to_be_visible()
        expect(last.get_by_text(re.compile(r"dioptre$"))).to_be_visible()
    person.check_fits()
    person.check_accessible()
    if not phone:
        cam1.get_by_role("heading", name="Last shot").scroll_into_view_if_needed()
        person.shoot("live-shot")
        last = cam1.get_by_role("region", name="Last shot of cam1")
        for link in (last.get_by_role("link", name="Last shot of cam1"), last.get_by_role("link", name="All metadata")):
            with person.context.expect_page() as opened:
                link.click()
            dialog = opened.value.get_by_role("dialog")
            expect(dialog.get_by_role("heading")).to_have_text(name.removesuffix(".jpg"), timeout=20_000)
            opened.value.wait_for_url(re.compile(r"day=[-0-9]+$"))
            if link.text_content() == "All metadata":
                expect(dialog.get_by_role("region", name="Metadata")).to_contain_text("SensorTimestamp")
            opened.value.close()
        with person.page.expect_download() as saved:
            last.get_by_role("link", name=name).click()
        assert saved.value.suggested_filename == name


def test_a_raw_frame_and_other_formats(visit: browsing.Visit, site: webd.Rig) -> None:
    person = visit()
    cam2 = live_pages.panel(person.page, "cam2")
    last = cam2.get_by_role("region", name="Last shot of cam2")
    cam2.get_by_role("button", name="Raw", exact=True).click()
    expect(last.get_by_role("link", name=re.compile(r"\.fits$"))).to_be_visible(timeout=30_000)
    live_pages.open_section(cam2, "Formats and duration")
    cam2.get_by_label("Photo", exact=True).select_option("png")
    cam2.get_by_label("Raw beside the photo").select_option("dng")
    cam2.get_by_role("button", name="Photo", exact=True).click()
    for ending in ("png", "dng"):
        expect(last.get_by_role("link", name=re.compile(rf"\.{ending}$"))).to_be_visible(timeout=30_000)
    assert {path.suffix for path in site.cameras["cam2"].output.iterdir()} >= {".fits", ".png", ".dng", ".json"}


def test_a_video_is_recorded_until_anybody_stops_it(visit: browsing.Visit, site: webd.Rig) -> None:
    person, other = visit(), visit()
    mine, theirs = (live_pages.panel(one.page, "cam1") for one in (person, other))
    live_pages.open_section(theirs, "Formats and duration")
    duration = theirs.get_by_label("Duration of a video (s)")
    duration.fill("12")
    mine.get_by_role("button", name="Record", exact=True).click()
    timer = theirs.locator(".live-recording")
    expect(timer).to_have_text(re.compile(r"^● Recording camera-\d+\.mp4, 0:0[2-9]$"))
    expect(duration).to_have_value("12")  # what one types is left alone
    with site.cameras["cam1"].connect() as camera:
        name = camera.report_status()["recording"]
        assert name is not None
        theirs.get_by_role("button", name="Stop recording").click()
        waiting.until(lambda: camera.report_status()["recording"] is None, 15, "the recording to end")
    for panel in (mine, theirs):
        expect(panel.locator(".live-recording")).to_be_hidden()
        expect(panel.get_by_role("button", name="Record", exact=True)).to_be_visible()
        expect(panel.get_by_role("region", name="Last shot of cam1").get_by_role("link", name=name)).to_be_visible()
    assert (site.cameras["cam1"].output / name).stat().st_size > 0


def test_a_video_of_a_duration_ends_by_itself(visit: browsing.Visit, site: webd.Rig) -> None:
    person = visit()
    cam2 = live_pages.panel(person.page, "cam2")
    live_pages.open_section(cam2, "Formats and duration")
    duration = cam2.get_by_label("Duration of a video (s)")
    expect(duration).to_have_attribute("max", "604800")  # from the API's description
    duration.fill("0")
    cam2.get_by_role("button", name="Record", exact=True).click()
    with site.cameras["cam2"].connect() as camera:
        assert camera.report_status()["recording"] is None
        duration.fill("5")
        cam2.get_by_role("button", name="Record", exact=True).click()
        expect(cam2.get_by_role("button", name="Stop recording")).to_be_visible()
        expect(cam2.get_by_role("button", name="Stop recording")).to_be_hidden(timeout=30_000)
        assert camera.report_status()["recording"] is None


def test_a_recording_that_ends_otherwise_says_why(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    with SmallDisk(tmp_path / "small", 320) as small:
        config = {**live_pages.CAMERAS, "inside": small, "output_path": str(tmp_path / "small" / "pictures")}
        with (
            webd.running(tmp_path, cameras_named=["cam1"], camera_config=config) as site,
            site.web.administrator(),
            browsing.visits(browser, site.web.url) as visit,
        ):
            person, other = visit(), visit()
            cam1 = live_pages.panel(person.page, "cam1")
            cam1.get_by_role("button", name="Record", exact=True).click()
            expect(cam1.locator(".live-recording")).to_have_text(re.compile(r", 0:0[1-9]$"))
            small.fill(leave_bytes=200 << 20)
            said = re.compile(r"^cam1: the recording has ended: less than \d+ bytes left on the disk\. camera-\d+\.mp4 was")
            for one in (person, other):
                expect(one.page.get_by_role("alert")).to_have_text(said, timeout=30_000)


def test_an_answer_that_breaks_off_is_no_success(visit: browsing.Visit, site: webd.Rig) -> None:
    person = visit()
    page = person.page
    cam1 = live_pages.panel(page, "cam1")
    shot = cam1.get_by_role("button", name="Photo", exact=True)
    expect(shot).to_be_enabled()
    page.evaluate(
        """() => {
          const { fetch } = window;
          window.fetch = async (url, options) => {
            const answer = await fetch(url, options);
            if (options?.method !== "POST") return answer;
            window.fetch = fetch;
            const lost = new ReadableStream({ start: (body) => body.error(new TypeError("the connection was lost")) });
            return new Response(lost, { status: answer.status });
          };
        }"""
    )
    with page.expect_request("**/cameras/cam1/photo") as first:
        shot.click()
    told = page.get_by_role("alert").filter(has_text="the answer broke off. It may or may not have been done")
    expect(told).to_contain_text("once at most, unless the camera's daemon was started anew meanwhile.")
    with page.expect_request("**/cameras/cam1/photo") as second:
        told.get_by_role("button", name="Try again").click()
    assert first.value.post_data_json == second.value.post_data_json
    expect(page.locator("#notes")).to_contain_text(re.compile(r"cam1: camera-\d+\.jpg"))
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_long_exposure_shows_how_far_it_is(visit: browsing.Visit, site: webd.Rig) -> None:
    person = visit()
    cam2 = live_pages.panel(person.page, "cam2")
    with site.cameras["cam2"].connect() as camera:
        camera.set_exposure(4.0, 0)
        try:
            expect(cam2.get_by_text(re.compile(r"^exposing [\d.]+ of 4\.0 s$"))).to_be_visible(timeout=30_000)
        finally:
            camera.set_controls({"AeEnable": True}, 0)
