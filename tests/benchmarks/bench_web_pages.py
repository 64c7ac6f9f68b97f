"""webd's pages in a real browser: how old the pictures are that are seen, how soon a page and its first picture are there,
what browsers that look cost in memory."""

from __future__ import annotations

import base64
import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import bare_web
import browsing
import cv2
import numpy as np
import waiting
import webd
from camera_bench import PACE_FPS, paced, settings
from cameras import Camerad
from playwright.sync_api import Browser, Page, Response, sync_playwright
from processes import memory_mib, pause
from tables import Table
from web_bench import CAMERA, FEED, others, percentile, program, site

START_PAGE = "/live"
_AGES = Path(__file__).with_name("seen_age.js").read_text()
_WITHIN_MS = 30_000
#: A disc that crosses the picture, 1280 pixels of two of the sensor's, within about two seconds: the hand of a clock.
_SENSOR_PIXELS = (2560, 1440)
_DISC = {"x": 0.0, "y": 720.0, "vx": 1200.0, "size_pixels": 100.0, "photons_per_s": 2e10}
_PIXELS_PER_S = _DISC["vx"] / 2
_ROW = round(_DISC["y"] / 2)
_PERIOD_S = _SENSOR_PIXELS[0] / _DISC["vx"]
_SHOW_IMAGE = """path => {
  const image = new Image();
  image.src = path;
  document.body.replaceChildren(image);
}"""
_SHOW_LIVE = """async ({ camera, codec }) => {
  const { LiveView } = await import("/static/kit/live.js");
  const canvas = document.createElement("canvas");
  document.body.replaceChildren(canvas);
  const view = new LiveView(canvas, { camera, codec });
  window.told = [];
  view.addEventListener("frame", () => view.latencySeconds === null || window.told.push(1000 * view.latencySeconds));
  view.start();
  window.view = view;
}"""
_LIVE = "() => window.view.frames > 0"
_DRAWN = "() => document.querySelector('.live-picture')?.dataset.frames > 0"  # of the start page
_SHOWN = "() => document.querySelector('img').naturalWidth > 0"
_BARE = "bare, MJPEG in an `img`"
_LOADED = "() => performance.getEntriesByType('navigation')[0].loadEventEnd"


@contextmanager
def _page(browser: Browser, base_url: str, cookies: Mapping[str, str] | None = None) -> Iterator[Page]:
    """A tab of a browser that has nothing in its cache."""
    context = browser.new_context(base_url=base_url, viewport=browsing.DESKTOP)
    try:
        context.set_default_timeout(_WITHIN_MS)
        context.add_cookies([{"name": name, "value": value, "url": base_url} for name, value in (cookies or {}).items()])
        yield context.new_page()
    finally:
        context.close()


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


# how old the pictures are


def ages(folder: Path, browser: Browser, state: str, rounds: int = 4, seconds: float = 4.0) -> Table:
    """From the camera to the screen, on each way."""
    config = settings(simulator={"scene": {"movers": [_DISC]}}, controls={**paced(PACE_FPS), "ExposureTime": 5000})
    found: dict[str, list[float]] = {}
    told: dict[str, list[float]] = {}
    seen: dict[str, int] = {}
    folder.mkdir()
    (folder / "none").write_text("{}")
    with site(folder, config) as rig, program("bare", "bare_web.py", folder / "none", rig.cameras[CAMERA].etc) as bare:
        hand = _hand(rig.cameras[CAMERA])
        ways = {
            _BARE: (_url(bare.port), bare_web.PAGE, _show_nothing_else),
            "webd, MJPEG in an `img`": (rig.web.url, "/login", _show_mjpeg),
            "webd, JPEG on a WebSocket": (rig.web.url, "/login", partial(_show_live, "jpeg")),
            "webd, H.264 on a WebSocket": (rig.web.url, "/login", partial(_show_live, "h264")),
        }
        for _ in range(rounds):
            for name, (url, path, show) in ways.items():
                with _page(browser, url) as page:
                    page.goto(path)
                    show(page)
                    source = "img" if "img" in name else "canvas"
                    page.wait_for_function(_SHOWN if source == "img" else _LIVE)
                    pause(1.0)  # warm
                    one = page.evaluate(f"({_AGES})", {"source": source, "seconds": seconds, **hand})
                    found.setdefault(name, []).extend(one)
                    seen[name] = seen.get(name, 0) + len(one)
                    told.setdefault(name, []).extend(page.evaluate("() => window.told ?? []"))
    table = Table(
        "From the camera to the screen",
        "a bare server: FastAPI and uvicorn, each client with a thread that asks camerad and passes the JPEG on as MJPEG,"
        " in the same browser",
        f"1280x720 at {PACE_FPS:g} frames/s in Chromium without a graphics card, on the processors on which all else runs."
        " A disc that crosses the simulated picture at a steady pace is a clock's hand: what the screen shows, looked at before"
        " each of its refreshes, says when it was exposed. From the end of the exposure, so with simulation, encoding, decoding"
        f" and the wait for the refresh; {rounds} windows of {seconds:g} s each, in turn. {state}",
    )
    base_ms = statistics.median(found[_BARE])
    for name, values in found.items():
        middle_ms = statistics.median(values)
        rate = seen[name] / rounds / seconds
        own = f", live.js itself says {statistics.median(told[name]):.0f} ms" if told[name] else ""
        figure = f"{middle_ms:.0f} ms, p95 {percentile(values, 95):.0f} ms, {rate:.1f} pictures/s{own}"
        table.add(name, figure, middle_ms / base_ms, 1.1 if name.startswith("webd") else None)
    return table


def _show_nothing_else(page: Page) -> None:
    """The bare server's page has its picture already."""


def _show_mjpeg(page: Page) -> None:
    page.evaluate(_SHOW_IMAGE, FEED)


def _show_live(codec: str, page: Page) -> None:
    page.evaluate(_SHOW_LIVE, {"camera": CAMERA, "codec": codec})


def _hand(daemon: Camerad, count: int = 30) -> dict[str, float]:
    """When the disc is where, as the page's script takes it: read off pictures whose time the camera tells."""
    epochs = []
    with daemon.connect() as camera:
        boot_id, number = None, 0
        while len(epochs) < count:
            answer = camera.frame("live", boot_id, number, 5.0)
            boot_id, number = answer["boot_id"], answer["number"]
            pixels = cv2.imdecode(np.frombuffer(answer["data"], np.uint8), cv2.IMREAD_COLOR)
            light = np.clip(pixels[_ROW - 4 : _ROW + 4, :, 1].astype(float) - 100, 0, None).sum(0)
            if light.any():
                place = float((light * np.arange(len(light))).sum() / light.sum())
                if 60 < place < len(light) - 60:
                    epochs.append(answer["metadata"]["FrameWallClock_us"] / 1e6 - place / _PIXELS_PER_S)
    epoch_s = epochs[0] + statistics.median((epoch - epochs[0] + _PERIOD_S / 2) % _PERIOD_S - _PERIOD_S / 2 for epoch in epochs)
    return {"row": _ROW, "pixelsPerSecond": _PIXELS_PER_S, "epochMs": 1e3 * epoch_s, "periodMs": 1e3 * _PERIOD_S}


# how soon they are there


def start_page(folder: Path, browser: Browser, state: str, starts: int = 3, loads: int = 10) -> Table:
    """The first page, and the first picture on it."""
    times: dict[str, list[float]] = {}
    with site(folder) as rig:
        with rig.web.administrator() as person:
            cookies = dict(person.cookies)
        files = folder / "files"
        recorded = _record(browser, rig, cookies)
        files.write_text(json.dumps(recorded))
        etc = rig.cameras[CAMERA].etc
        for _ in range(starts):
            _cold(browser, times, files, etc)
            _cold_webd(browser, times, rig, cookies)
        with program("bare", "bare_web.py", files) as bare:
            for _ in range(loads):
                for name, url in (("bare", _url(bare.port)), ("webd", rig.web.url)):
                    with _page(browser, url, cookies) as page:
                        page.goto(START_PAGE, wait_until="load")
                        times.setdefault(f"{name}, loaded", []).append(page.evaluate(_LOADED) / 1e3)
    size = sum(len(base64.b64decode(body)) for _, body in recorded.values())
    table = Table(
        "The start page",
        "a bare server: FastAPI and uvicorn with the same bytes, in the same browser, of the same line",
        f"{len(recorded)} files, {size / 1000:.0f} kB, nothing of it in the browser's cache; {starts} starts and {loads} loads"
        " each, interleaved, medians. A start is from the start of the process; the bare server's page with a picture is an"
        f" `img` alone, fed with what camerad answers. {state}",
    )
    for what, says in (
        ("loaded", "loaded"),
        ("page", "from its start to the page"),
        ("picture", "from its start to a picture"),
    ):
        base_s = statistics.median(times[f"bare, {what}"])
        for name in ("bare", "webd"):
            values = times[f"{name}, {what}"]
            middle_s = statistics.median(values)
            table.add(f"{name}, {says}", f"{middle_s * 1e3:.0f} ms, at most {max(values) * 1e3:.0f} ms", middle_s / base_s)
    return table


def _record(browser: Browser, rig: webd.Rig, cookies: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """The files of the start page, as bare_web.py takes them: path -> media type and body."""
    came: list[Response] = []
    with _page(browser, rig.web.url, cookies) as page:
        page.on("response", lambda response: came.append(response))  # Playwright takes no built-in function
        page.goto(START_PAGE, wait_until="load")
        page.wait_for_function(_DRAWN)
        files = [one for one in came if one.request.resource_type in ("document", "script", "stylesheet", "image")]
        whole = [one for one in files if one.ok and "content-length" in one.headers]  # and no stream
        return {urlsplit(one.url).path: (one.headers["content-type"], base64.b64encode(one.body()).decode()) for one in whole}


def _cold(browser: Browser, times: dict[str, list[float]], files: Path, etc: Path) -> None:
    for what, path in (("page", START_PAGE), ("picture", bare_web.PAGE)):
        began = time.monotonic()
        with program("bare", "bare_web.py", files, etc) as bare, _page(browser, _url(bare.port)) as page:
            page.goto(path, wait_until="load" if what == "page" else "commit")
            if what == "picture":
                page.wait_for_function(_SHOWN)
            times.setdefault(f"bare, {what}", []).append(time.monotonic() - began)


def _cold_webd(browser: Browser, times: dict[str, list[float]], rig: webd.Rig, cookies: Mapping[str, str]) -> None:
    rig.web.end_well()
    began = time.monotonic()
    rig.web.start()
    with _page(browser, rig.web.url, cookies) as page:
        page.goto(START_PAGE, wait_until="load")
        times.setdefault("webd, page", []).append(time.monotonic() - began)
        page.wait_for_function(_DRAWN)
        times.setdefault("webd, picture", []).append(time.monotonic() - began)


# what they cost


def memory(folder: Path, browser: Browser, many: int = 10) -> Table:
    """webd while nobody, one, many look."""
    table = Table(
        f"Memory of webd with {many} browsers",
        "the same webd before anybody looked",
        "Resident memory with shared libraries; each browser shows the start page with the live view at 1280x720, 30 frames/s,"
        " and listens to the events; in this order.",
    )
    with site(folder) as rig, rig.web.administrator() as person, ExitStack() as looking:
        pid, cookies = rig.web.process.pid, dict(person.cookies)
        pause(2.0)
        used = {"nobody has looked": memory_mib(pid)}
        for count in range(1, many + 1):
            page = looking.enter_context(_page(browser, rig.web.url, cookies))
            page.goto(START_PAGE, wait_until="commit")
            waiting.until(lambda number=count: _viewers(rig) == number, 60, f"{count} browsers to look")
            if count in (1, many):
                pause(5.0)
                used[f"{count} look"] = memory_mib(pid)
        looking.close()
        pause(5.0)
        used["all have gone"] = memory_mib(pid)
    for what, mib in used.items():
        table.add(what, f"{mib:.1f} MiB", mib / used["nobody has looked"])
    one_mib, many_mib = used["1 look"], used[f"{many} look"]
    table.add(f"{many} against 1", f"{many_mib - one_mib:+.1f} MiB", many_mib / one_mib, 1.2)
    return table


def _viewers(rig: webd.Rig) -> int:
    with rig.web.connect() as web:
        return sum(stream["viewers"] for stream in web.report_status()["streams"])


def run() -> list[Table]:
    """All tables; none where there is no browser."""
    with tempfile.TemporaryDirectory() as folder:
        return _run(Path(folder))


def _run(folder: Path) -> list[Table]:
    if browsing.program() is None:
        print("chromium is not installed, so no page is measured")
        return []
    state = others()
    tables = []
    with sync_playwright() as playwright:
        browser = browsing.launch(playwright)
        try:
            tables.append(ages(folder / "ages", browser, state))
            tables.append(start_page(folder / "start", browser, state))
            tables.append(memory(folder / "memory", browser))
        finally:
            browser.close()
    return tables
