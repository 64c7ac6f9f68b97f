"""The files page as people use it: browse, look, compare, download, delete; what others do appears by itself."""

from __future__ import annotations

import io
import json
import os
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import browsing
import pytest
import waiting
import webd
from playwright.sync_api import Browser, Locator, Page, expect

VIEWER = "vera"
SLOW_MS = 20_000
LARGER = [640, 360]
MANY = 1100  # more than an answer has
MANY_DAY = "2001-09-09"  # 1e9 seconds
TALE_DAY = "1973-03-03"  # 1e8 seconds


@pytest.fixture(scope="module")
def viewer(site: webd.Rig) -> str:
    """A user who may only look."""
    site.web.user(VIEWER, "viewer").close()
    return VIEWER


@pytest.fixture(scope="module", autouse=True)
def _worth_seeing(site: webd.Rig) -> None:
    """Pictures of cam1 are larger than the tests' usual ones, and bright."""
    with site.cameras["cam1"].connect() as daemon:
        for use_case in ("photo", "video"):
            daemon.set_use_case(use_case, {"size": LARGER})
        daemon.set_controls({"FrameDurationLimits": [60000, 60000]})


def take(site: webd.Rig, camera: str = "cam1", *, count: int = 1, **options: Any) -> list[str]:
    """Take photos at the daemon itself; the names of their pictures."""
    names = []
    with site.cameras[camera].connect() as daemon:
        for _ in range(count):
            job = daemon.wait(daemon.take_photo(**options)["id"], 10)
            assert job["state"] == "succeeded", job
            names += job["result"]["names"]
    return names


def stem_of(name: str) -> str:
    return name.partition(".")[0]


def today() -> str:
    return datetime.now(UTC).date().isoformat()


def files_of(site: webd.Rig, name: str, camera: str = "cam1") -> list[Path]:
    """What there is of a shot in the camera's folder."""
    return sorted(site.cameras[camera].output.glob(f"{stem_of(name)}.*"))


def tile(page: Page, name: str) -> Locator:
    return page.locator(f'li[data-stem="{stem_of(name)}"]')


def pick(page: Page, *names: str) -> None:
    for name in names:
        page.get_by_label(f"Select {stem_of(name)}", exact=True).check()


def open_shot(page: Page, name: str) -> Locator:
    tile(page, name).get_by_role("button").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading")).to_have_text(stem_of(name))
    return dialog


def becomes(page: Page, script: str, argument: object = None) -> None:
    """Wait until a script's value is true; Playwright's own way to wait for one needs what the pages' policy forbids."""
    waiting.until(lambda: page.evaluate(script, argument), 15, script)


def is_loaded(page: Page, selector: str) -> None:
    """Wait until there are such pictures, and all of them are seen."""
    images = "[...document.querySelectorAll(selector)]"
    becomes(page, f"selector => {images}.length > 0 && {images}.every(image => image.naturalWidth > 0)", selector)


def transforms(page: Page) -> list[str]:
    return page.locator("dialog[open] .stage img").evaluate_all("all => all.map(image => image.style.transform)")


def write_shots(folder: Path, like: Path, count: int, at_s: float) -> None:
    """Shots as of another time, by their names the camera's own: pictures with metadata."""
    picture = like.read_bytes()
    for number in range(count):
        for ending, content in (("jpg", picture), ("json", b"{}")):
            path = folder / f"camera-9{number:07d}.{ending}"
            path.write_bytes(content)
            os.utime(path, (at_s + number, at_s + number))


def test_photos_are_seen_by_camera_and_day(visit: browsing.Visit, site: webd.Rig) -> None:
    names = take(site, count=3)
    person = visit()
    page = person.go("/files")
    for name in names:
        expect(tile(page, name)).to_be_visible()
        is_loaded(page, f'li[data-stem="{stem_of(name)}"] img')
        expect(tile(page, name)).to_contain_text("JPG")
    assert page.url.endswith(f"/files?camera=cam1&day={today()}"), "the address says camera and day"
    expect(page.get_by_label("Day (UTC)")).to_have_value(today())
    expect(page.locator("#room")).to_contain_text(str(site.cameras["cam1"].output))
    expect(page.locator("#room")).to_contain_text("B free")
    page.reload()
    expect(tile(page, names[0])).to_be_visible()
    page.get_by_role("link", name="cam2").click()
    page.wait_for_url("**/files?camera=cam2*")
    expect(tile(page, names[0])).to_have_count(0)
    page.go_back()
    expect(tile(page, names[0])).to_be_visible()
    expect(page.get_by_role("link", name="cam1")).to_have_attribute("aria-current", "true")
    person.check_accessible()
    person.check_fits()
    pick(page, *names[:2])
    person.shoot("files-desktop")


def test_a_photo_that_another_takes_appears(visit: browsing.Visit, site: webd.Rig) -> None:
    first = take(site)[0]
    page = visit().go("/files?camera=cam1")
    expect(tile(page, first)).to_be_visible()
    pick(page, first)
    second = take(site)[0]
    expect(tile(page, second)).to_be_visible()
    assert page.locator(".shots li").first.get_attribute("data-stem") == stem_of(second), "the newest is the first"
    expect(page.get_by_label(f"Select {stem_of(first)}")).to_be_checked()
    for file in files_of(site, second):
        file.unlink()
    take(site)
    expect(tile(page, second)).to_have_count(0)


def test_a_small_picture_that_could_not_be_read_is_seen_later(visit: browsing.Visit, site: webd.Rig) -> None:
    name = take(site)[0]
    person = visit()
    person.allow_error("status of 503")
    page = person.page
    pictures = f"**/files/{stem_of(name)}.*"
    page.route(pictures, lambda route: route.fulfill(status=503))
    person.go("/files?camera=cam1")
    image = tile(page, name).locator("img")
    expect(image).to_have_class("failed")
    page.unroute(pictures)
    take(site)
    is_loaded(page, f'li[data-stem="{stem_of(name)}"] img')
    expect(image).to_be_visible()


def test_a_shot_is_looked_at(visit: browsing.Visit, site: webd.Rig) -> None:
    names = take(site, count=2)
    person = visit()
    page = person.go("/files?camera=cam1")
    dialog = open_shot(page, names[0])
    is_loaded(page, "dialog[open] .stage img")
    page.keyboard.press("1")
    page.keyboard.press("+")
    page.keyboard.press("+")
    expect(dialog.get_by_label("Zoom")).not_to_have_text("100 %")
    fitted = dialog.get_by_label("Zoom").text_content()
    page.keyboard.press("0")
    expect(dialog.get_by_label("Zoom")).not_to_have_text(str(fitted))
    dialog.get_by_role("button", name="Metadata").click()
    metadata = dialog.get_by_role("region", name="Metadata")
    kept = json.loads(site.cameras["cam1"].output.joinpath(f"{stem_of(names[0])}.json").read_text())
    expect(metadata.get_by_role("row", name="SensorTimestamp")).to_contain_text(str(kept["SensorTimestamp"]))
    expect(metadata.get_by_role("row", name="model")).to_contain_text(kept["observatory"]["model"])
    person.shoot("files-view-desktop")
    page.keyboard.press("ArrowLeft")
    expect(dialog.get_by_role("heading")).to_have_text(stem_of(names[1]))
    page.keyboard.press("ArrowRight")
    expect(dialog.get_by_role("heading")).to_have_text(stem_of(names[0]))
    person.check_accessible()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(tile(page, names[0]).get_by_role("button")).to_be_focused()


def test_pictures_are_compared_with_joint_zoom(visit: browsing.Visit, site: webd.Rig) -> None:
    names = take(site, count=2)
    person = visit()
    page = person.go("/files?camera=cam1")
    pick(page, *names)
    page.get_by_role("button", name="Compare").click()
    is_loaded(page, "dialog[open] .stage img")
    waiting.until(lambda: all(transforms(page)), 10, "both pictures to be placed")  # each is once it has all come
    before = transforms(page)
    assert len(before) == 2 and before[0] == before[1]
    page.get_by_role("button", name="+", exact=True).click()
    zoomed = transforms(page)
    assert zoomed[0] == zoomed[1] != before[0]
    box = page.locator("dialog[open] .stage").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.wheel(0, -300)
    waiting.until(lambda: transforms(page) != zoomed, 10, "the wheel to zoom")
    wheeled = transforms(page)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 + 40, box["y"] + box["height"] / 2 + 5, steps=4)
    page.mouse.up()
    dragged = transforms(page)
    assert dragged[0] == dragged[1] != wheeled[0]
    person.check_accessible()
    person.shoot("files-compare-desktop")


def test_files_are_downloaded_as_they_are(visit: browsing.Visit, site: webd.Rig) -> None:
    names = take(site, raw="fits")
    picture = next(name for name in names if name.endswith(".jpg"))
    others = take(site, count=2)
    folder = site.cameras["cam1"].output
    page = visit().go("/files?camera=cam1")
    dialog = open_shot(page, picture)
    for name in (*names, f"{stem_of(picture)}.json"):
        with page.expect_download() as found:
            dialog.get_by_role("button", name=f"Download {name}").click()
        assert found.value.suggested_filename == name
        assert found.value.path().read_bytes() == (folder / name).read_bytes()
    dialog.get_by_role("button", name="Close").click()
    pick(page, picture, others[0])
    with page.expect_download() as found:
        page.get_by_role("button", name="Zip", exact=True).click()
    expected = {path.name for name in (picture, others[0]) for path in files_of(site, name)}
    assert_zip(found.value.path(), folder, expected)
    with page.expect_download() as found:
        page.get_by_role("button", name="Day as zip").click()
    assert found.value.suggested_filename == f"cam1-{today()}.zip"
    of_day = {path.name for path in folder.iterdir() if path.stat().st_mtime > 1.5e9}
    assert_zip(found.value.path(), folder, of_day)


def assert_zip(path: Path, folder: Path, names: set[str]) -> None:
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive:
        assert archive.testzip() is None
        assert set(archive.namelist()) == names
        assert all(archive.read(name) == (folder / name).read_bytes() for name in names)


def test_shots_are_deleted_with_their_companions(visit: browsing.Visit, site: webd.Rig) -> None:
    names = take(site, count=3)
    person = visit()
    page = person.go("/files?camera=cam1")
    pick(page, names[0], names[1])
    assert len(files_of(site, names[0])) == 2
    page.get_by_role("button", name="Delete ...").click()
    question = page.get_by_role("dialog")
    expect(question).to_contain_text("Delete 2 shots of cam1?")
    expect(question).to_contain_text("2 pictures or videos and 2 companions (metadata, thumbnails): 4 files")
    person.check_accessible()
    person.shoot("files-delete-desktop")
    question.get_by_role("button", name="Cancel").click()
    expect(page.locator("#chosen")).to_contain_text("2 selected")
    assert files_of(site, names[0])
    page.get_by_role("button", name="Delete ...").click()
    question.get_by_role("button", name="Delete", exact=True).click()
    expect(tile(page, names[0])).to_have_count(0)
    expect(page.locator("#notes")).to_contain_text("4 files deleted")
    assert not files_of(site, names[0]) and not files_of(site, names[1])
    dialog = open_shot(page, names[2])
    dialog.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog", name="Delete 1 shot of cam1?").get_by_role("button", name="Delete").click()
    expect(tile(page, names[2])).to_have_count(0)
    assert not files_of(site, names[2])


def test_the_keyboard_selects(visit: browsing.Visit, site: webd.Rig) -> None:
    names = take(site, count=3)
    page = visit().go("/files?camera=cam1")
    page.get_by_label(f"Select {stem_of(names[2])}").focus()
    page.keyboard.press("Space")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_label(f"Select {stem_of(names[0])}")).to_be_focused()
    page.get_by_label(f"Select {stem_of(names[0])}").click(modifiers=["Shift"])
    expect(page.locator("#chosen")).to_contain_text("3 selected")
    page.keyboard.press("Control+a")
    expect(page.get_by_role("button", name="All of this day")).to_be_disabled()
    page.keyboard.press("Escape")
    expect(page.locator("#chosen")).to_have_text("Nothing selected")
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_label(f"Select {stem_of(names[1])}")).to_be_focused()


def test_a_video_plays_in_place(visit: browsing.Visit, site: webd.Rig) -> None:
    with site.cameras["cam1"].connect() as camera:
        job = camera.wait(camera.start_video(duration_s=0.5)["id"], 10)
    assert job["state"] == "succeeded", job
    page = visit().go("/files?camera=cam1")
    name = job["result"]["name"]
    is_loaded(page, f'li[data-stem="{stem_of(name)}"] img')
    expect(tile(page, name)).to_contain_text("MP4")
    open_shot(page, name)
    video = "document.querySelector('dialog[open] video')"
    becomes(page, f"{video}.videoWidth === {LARGER[0]}")
    page.evaluate(f"{video}.play()")
    becomes(page, f"{video}.currentTime > 0.1")


def test_by_red_light_a_video_stays_on_the_page(visit: browsing.Visit, site: webd.Rig) -> None:
    """Alone on the screen it would be white."""
    with site.cameras["cam1"].connect() as camera:
        job = camera.wait(camera.start_video(duration_s=0.5)["id"], 10)
    page = visit().go("/files?camera=cam1")
    video = page.locator("dialog[open] video")
    for theme in ("dark", "red"):
        page.evaluate("theme => document.documentElement.dataset.theme = theme", theme)
        dialog = open_shot(page, job["result"]["name"])
        becomes(page, f"document.querySelector('dialog[open] video').videoWidth === {LARGER[0]}")
        video.dblclick()
        if theme == "dark":
            becomes(page, "document.fullscreenElement?.tagName === 'VIDEO'")
            page.evaluate("document.exitFullscreen()")
        assert video.evaluate("video => [video.controlsList.contains('nofullscreen'), video.disablePictureInPicture]") == [
            theme == "red",
            theme == "red",
        ]
        dialog.get_by_role("button", name="Close").click()
    assert page.evaluate("document.fullscreenElement") is None


def test_a_shot_that_another_deletes_says_so_and_leads_on(visit: browsing.Visit, site: webd.Rig) -> None:
    names = take(site, count=3)
    person = visit()
    person.allow_error("status of 404")  # its picture may still be on the way
    dialog = open_shot(person.go("/files?camera=cam1"), names[1])
    with site.cameras["cam1"].connect() as camera:
        camera.delete_files([path.name for path in files_of(site, names[1])])
    expect(dialog).to_contain_text("It has been deleted.", timeout=SLOW_MS)
    expect(dialog.get_by_role("button", name="Delete")).to_be_disabled()
    dialog.get_by_role("button", name="Next").click()
    expect(dialog.get_by_role("heading")).to_have_text(stem_of(names[0]))
    expect(dialog.get_by_text("It has been deleted.")).to_be_hidden()
    dialog.get_by_role("button", name="Previous").click()
    expect(dialog.get_by_role("heading")).to_have_text(stem_of(names[2]))
    expect(dialog.get_by_role("button", name="Delete")).to_be_enabled()


def test_a_day_of_many_shots_stays_fast(visit: browsing.Visit, site: webd.Rig) -> None:
    camera = site.cameras["cam2"]
    write_shots(camera.output, camera.output / take(site, "cam2")[0], MANY, 1e9)
    third = camera.output / f"camera-9{MANY - 1:07d}.fits"  # of the newest: 1000 names are no whole number of shots
    third.write_bytes(b"SIMPLE")
    os.utime(third, (1e9 + MANY - 1, 1e9 + MANY - 1))
    person = visit()
    page = person.go(f"/files?camera=cam2&day={MANY_DAY}")
    tiles = page.locator(".shots li")
    expect(tiles.first).to_be_visible()
    expect(page.get_by_text(f"The newest 120 of {MANY} shots")).to_be_visible()
    assert page.locator(".shots img[src]").count() < 100, "pictures of what is in view only"
    before = tiles.count()
    page.mouse.move(600, 600)
    waiting.until(lambda: page.mouse.wheel(0, 20000) or tiles.count() > before, 10, "more shots")
    page.get_by_role("button", name="All of this day").click()
    expect(page.locator("#chosen")).to_contain_text(f"{MANY} selected")
    with page.expect_download() as found:
        page.get_by_role("button", name="Zip", exact=True).click()
    with zipfile.ZipFile(found.value.path()) as archive:
        assert len(archive.namelist()) == 2 * MANY + 1
    page.evaluate("scrollTo(0, 0)")
    person.shoot("files-many-desktop")
    page.get_by_role("button", name="Delete ...").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_text(f"There are no files of {MANY_DAY}.")).to_be_visible()
    assert not list(camera.output.glob("camera-9*"))


def test_what_comes_from_outside_is_shown_as_text(visit: browsing.Visit, site: webd.Rig) -> None:
    folder = site.cameras["cam2"].output
    hostile = "<img src=x onerror=alert(1)>"
    for name, content in (("--tale.jpg", b"no picture"), ("--tale.json", json.dumps({hostile: hostile}).encode())):
        (folder / name).write_bytes(content)
        os.utime(folder / name, (1e8, 1e8))
    person = visit()
    page = person.go(f"/files?camera=cam2&day={TALE_DAY}")
    dialog = open_shot(page, "--tale.jpg")
    expect(dialog.get_by_role("alert")).to_contain_text("--tale.jpg cannot be shown")
    dialog.get_by_role("button", name="Metadata").click()
    expect(dialog.get_by_role("cell", name=hostile)).to_be_visible()
    page = person.go("/files?camera=%3Cb%3E&day=%22%3E%3Cb%3E")
    expect(page.get_by_role("link", name="cam1")).to_have_attribute("aria-current", "true")


def test_a_viewer_looks_and_cannot_delete(visit: browsing.Visit, site: webd.Rig, viewer: str) -> None:
    name = take(site)[0]
    page = visit(user=viewer).go("/files?camera=cam1")
    pick(page, name)
    expect(page.get_by_role("button", name="Zip", exact=True)).to_be_enabled()
    expect(page.get_by_role("button", name="Delete ...")).to_have_count(0)
    page.get_by_label(f"Select {stem_of(name)}").focus()
    page.keyboard.press("Delete")
    expect(page.get_by_role("dialog")).to_have_count(0)
    dialog = open_shot(page, name)
    expect(dialog.get_by_role("button", name="Delete")).to_have_count(0)
    assert files_of(site, name)


def test_files_on_a_phone(visit: browsing.Visit, site: webd.Rig) -> None:
    names = take(site, count=4)
    person = visit(phone=True)
    page = person.go("/files?camera=cam1")
    for name in names:
        is_loaded(page, f'li[data-stem="{stem_of(name)}"] img')
    pick(page, names[1])
    person.check_fits()
    person.check_accessible()
    person.shoot("files-phone")
    tile(page, names[3]).get_by_role("button").click()
    dialog = page.get_by_role("dialog")
    is_loaded(page, "dialog[open] .stage img")
    person.shoot("files-view-phone")
    swipe(page)
    expect(dialog.get_by_role("heading")).to_have_text(stem_of(names[2]))
    dialog.get_by_role("button", name="Metadata").click()
    expect(dialog.get_by_role("region", name="Metadata")).to_contain_text("ExposureTime")
    person.check_fits()


def swipe(page: Page) -> None:
    """A finger goes from right to left over the picture, as the browser's own touch events."""
    box = page.locator("dialog[open] .stage").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] * 0.8, box["y"] + box["height"] / 2
    session = page.context.new_cdp_session(page)
    session.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    for step in range(1, 6):
        session.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [{"x": x - 40 * step, "y": y}]})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    session.detach()


def test_a_camera_that_is_away_says_so_and_comes_back(browser: Browser, tmp_path: Path) -> None:
    with (
        webd.running(tmp_path, cameras_named=["cam1", "cam2"]) as rig,
        browsing.person(browser, rig.web.url) as person,
    ):
        rig.web.administrator().close()
        take(rig, "cam1")
        name = take(rig, "cam2")[0]
        person.log_in()
        person.allow_error("status of 503")
        page = person.go("/files?camera=cam2")
        others = take(rig, "cam2")[0]
        expect(tile(page, others)).to_contain_text("JPG", timeout=SLOW_MS)  # its metadata come before the picture
        dialog = open_shot(page, name)
        is_loaded(page, "dialog[open] .stage img")
        rig.cameras["cam2"].kill()
        expect(dialog.get_by_role("button", name="Delete")).to_be_disabled(timeout=SLOW_MS)
        dialog.get_by_role("button", name="Previous").click()
        expect(dialog.get_by_role("alert")).to_contain_text("cannot be shown")
        rig.cameras["cam2"].start()
        is_loaded(page, "dialog[open] .stage img")
        expect(dialog.get_by_role("button", name="Delete")).to_be_enabled()
        dialog.get_by_role("button", name="Close").click()
        rig.cameras["cam2"].kill()
        away = page.locator("div[data-camera=cam2] .away")
        expect(away).to_contain_text("Not reachable since", timeout=SLOW_MS)
        expect(page.get_by_role("button", name="All of this day")).to_be_disabled()
        expect(page.locator("#room")).to_contain_text("as last known")
        page.get_by_role("link", name="cam1").click()
        expect(page.get_by_role("button", name="Day as zip")).to_be_enabled(timeout=SLOW_MS)
        page.reload()
        page.get_by_role("link", name="cam2").click()
        expect(away).to_be_visible(timeout=SLOW_MS)
        rig.cameras["cam2"].start()
        expect(tile(page, name)).to_be_visible(timeout=SLOW_MS)
        expect(away).to_be_hidden()
