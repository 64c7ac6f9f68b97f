"""The page of GPIO, by a user's path: a form per device, what it reads, its events, all off, a daemon that dies."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import browsing
import gpio_daemon
import pytest
import waiting
import webd
from playwright.sync_api import Browser, Locator, Page, expect

NAME = "gpio1"
LAMP, DOOR, DIMMER, TRIGGER = 17, 27, 22, 23
DEVICES: list[dict[str, Any]] = [
    {"id": "lamp", "type": "LED", "pin": LAMP, "label": "Red lamp"},
    {"id": "dimmer", "type": "PWMLED", "pin": DIMMER, "label": "Flat field lamp"},
    {"id": "colour", "type": "RGBLED", "red": 4, "green": 5, "blue": 6},
    {"id": "heater", "type": "OutputDevice", "pin": 25, "label": "Dew heater", "max_on_time": 3600},
    {"id": "flap", "type": "AngularServo", "pin": 12, "initial_angle": 0},
    {"id": "fan", "type": "Motor", "forward": 20, "backward": 21},
    {"id": "wheel", "type": "StepperMotor", "in1": 7, "in2": 8, "in3": 9, "in4": 10, "label": "Filter wheel"},
    {"id": "bell", "type": "TonalBuzzer", "pin": 13},
    {"id": "door", "type": "Button", "pin": DOOR, "label": "Dome door"},
    {"id": "clearance", "type": "DistanceSensor", "trigger": TRIGGER, "echo": 24},
]
WIRING: list[dict[str, Any]] = [
    {"type": "button", "pin": DOOR},
    {"type": "distance", "trigger": TRIGGER, "echo": 24, "distance_cm": 60},
    {"type": "stepper", "pins": [7, 8, 9, 10]},
]


@contextmanager
def running(folder: Path) -> Iterator[webd.Rig]:
    """One gpiod with devices of many types behind a webd; a viewer, vera."""
    with webd.running(folder, gpios_named={NAME: (DEVICES, WIRING)}) as rig:
        rig.web.user("vera", "viewer").close()
        yield rig


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webd.Rig]:
    """What all tests share that restart nothing."""
    with running(tmp_path_factory.mktemp("gpio")) as rig:
        yield rig


@pytest.fixture
def gpiod(site: webd.Rig) -> Iterator[gpio_daemon.Gpiod]:
    """The daemon; everything is off afterwards."""
    daemon = site.gpios[NAME]
    yield daemon
    with daemon.connect() as gpio:
        gpio.invoke("all_off")


def state_of(daemon: gpio_daemon.Gpiod, device: str) -> dict[str, Any]:
    with daemon.connect() as gpio:
        state: dict[str, Any] = gpio.invoke("state", device)
        return state


def call(daemon: gpio_daemon.Gpiod, device: str, method: str, **arguments: Any) -> None:
    with daemon.connect() as gpio:
        gpio.invoke("call", device, method, arguments)


def card(page: Page, title: str) -> Locator:
    return page.get_by_role("article", name=title, exact=True)


def reading(page: Page, title: str) -> Locator:
    return card(page, title).locator(".value")


def press(page: Page, method: str, title: str) -> None:
    card(page, title).get_by_role("button", name=f"{method}: {title}", exact=True).click()


def form(page: Page, title: str, method: str) -> Locator:
    """The form of a method, opened."""
    details = card(page, title).locator("details").filter(has=page.locator("summary", has_text=re.compile(f"^{method}$")))
    details.locator("summary").click()
    return details.locator("form")


def test_a_lamp_is_switched(visit: browsing.Visit, gpiod: gpio_daemon.Gpiod) -> None:
    person = visit()
    page = person.go("/gpio")
    expect(reading(page, "Red lamp")).to_have_text("off")
    expect(card(page, "Red lamp").get_by_text("lamp, LED, GPIO17", exact=True)).to_be_visible()
    expect(card(page, "colour").get_by_text("RGBLED, GPIO4, GPIO5, GPIO6", exact=True)).to_be_visible()
    press(page, "On", "Red lamp")
    expect(reading(page, "Red lamp")).to_have_text("on")
    assert state_of(gpiod, "lamp")["value"] == 1
    assert gpiod.board.line(LAMP)["level"] == 1
    expect(card(page, "Red lamp").get_by_text(re.compile(r"^since .*, set by LocalHost .* for anna"))).to_be_visible()
    press(page, "Toggle", "Red lamp")
    expect(reading(page, "Red lamp")).to_have_text("off")
    assert gpiod.board.line(LAMP)["level"] == 0
    press(page, "On", "Dew heater")
    expect(card(page, "Dew heater").get_by_text(re.compile(r"^35\d\d(\.\d)? s$"))).to_be_visible()  # until max_on_time
    press(page, "Off", "Dew heater")
    expect(reading(page, "Dew heater")).to_have_text("off")


def test_methods_with_parameters(visit: browsing.Visit, gpiod: gpio_daemon.Gpiod) -> None:
    person = visit()
    person.allow_error("status of 4")
    page = person.go("/gpio")
    value = form(page, "Flat field lamp", "Value")
    value.get_by_role("button", name="Value").click()
    expect(value.get_by_role("alert")).to_have_text("value is required.")
    value.get_by_label("value").fill("1.5")
    value.get_by_role("button", name="Value").click()
    expect(value.get_by_role("alert")).to_contain_text("a number from 0 to 1")
    assert state_of(gpiod, "dimmer")["value"] == 0
    value.get_by_label("value").fill("0.25")
    value.get_by_role("button", name="Value").click()
    expect(reading(page, "Flat field lamp")).to_have_text("25 %")
    expect(value.get_by_role("alert")).to_be_hidden()
    assert state_of(gpiod, "dimmer")["value"] == 0.25
    colour = form(page, "colour", "Value")
    colour.get_by_label("value").fill("#ff0080")
    colour.get_by_role("button", name="Value").click()
    expect(reading(page, "colour")).to_have_text("100, 0, 50 %")
    assert state_of(gpiod, "colour")["value"] == pytest.approx([1, 0, 0.502])
    angle = form(page, "flap", "Angle")
    expect(angle.get_by_text("From -90 to 90 degrees. Required.")).to_be_visible()
    angle.get_by_label("angle").fill("-30")
    angle.get_by_role("button", name="Angle").click()
    expect(reading(page, "flap")).to_have_text("-30 degrees")
    tone = form(page, "bell", "Play")
    tone.get_by_label("tone").fill("A5")
    tone.get_by_role("button", name="Play").click()
    expect(reading(page, "bell")).to_have_text("note 81")
    forward = form(page, "fan", "Backward")
    forward.get_by_label("speed").fill("0.5")
    forward.get_by_role("button", name="Backward").click()
    expect(reading(page, "fan")).to_have_text("-50 % backward")
    page.get_by_role("button", name="Stop: fan").click()
    expect(reading(page, "fan")).to_have_text("off")
    person.check_accessible()


def test_what_goes_on_is_seen_and_ended(visit: browsing.Visit, gpiod: gpio_daemon.Gpiod) -> None:
    person = visit()
    page = person.go("/gpio")
    timed = form(page, "Red lamp", "On for a time")
    timed.get_by_label("duration").fill("60")
    timed.get_by_role("button", name="On for a time").click()
    lamp = card(page, "Red lamp")
    expect(lamp.get_by_text("Running: on")).to_be_visible()
    expect(lamp.get_by_text(re.compile(r"^[1-9]\d* %, to end at .* for anna"))).to_be_visible()
    press(page, "Toggle", "Flat field lamp")
    rotate = form(page, "Filter wheel", "Rotate by")
    rotate.get_by_label("angle").fill("3600")
    rotate.get_by_role("button", name="Rotate by").click()
    wheel = card(page, "Filter wheel")
    expect(wheel.get_by_role("progressbar")).to_be_visible()
    page.evaluate("scrollTo(0, 0)")
    person.shoot("gpio-desktop", full=True)
    lamp.get_by_role("button", name="Cancel").click()
    expect(lamp.get_by_text("On: stopped")).to_be_visible()
    assert state_of(gpiod, "lamp")["value"] == 0
    page.get_by_role("button", name="Stop: Filter wheel").click()
    expect(wheel.get_by_text("Rotate by: stopped")).to_be_visible()
    assert state_of(gpiod, "wheel")["running"] is None
    # what somebody else has begun
    call(gpiod, "dimmer", "pulse")
    dimmer = card(page, "Flat field lamp")
    expect(dimmer.get_by_text("Running: pulse")).to_be_visible()
    expect(dimmer.get_by_text(re.compile("begun .* by LocalHost"))).to_be_visible()
    page.get_by_role("button", name="Stop: Flat field lamp").click()
    expect(reading(page, "Flat field lamp")).to_have_text("off")
    assert state_of(gpiod, "dimmer")["running"] is None


def test_inputs_and_events(visit: browsing.Visit, gpiod: gpio_daemon.Gpiod) -> None:
    person = visit()
    page = person.go("/gpio")
    expect(page.get_by_role("region", name="Inputs").get_by_role("article")).to_have_count(2)
    expect(reading(page, "Dome door")).to_have_text("not active")
    expect(reading(page, "clearance")).to_have_text(re.compile(r"^0\.(59|6|61) m$"))
    gpiod.board.request(adjust=TRIGGER, distance_cm=20)
    expect(reading(page, "clearance")).to_have_text(re.compile(r"^0\.(19|2|21) m$"))
    gpiod.board.request(press=DOOR, for_s=3)
    expect(reading(page, "Dome door")).to_have_text("active")
    events = page.get_by_role("region", name=f"Events of {NAME}")
    expect(events.get_by_role("row").filter(has_text="when_pressed")).to_contain_text("Dome door")
    expect(events.get_by_role("row").filter(has_text="when_released")).to_be_visible()
    expect(reading(page, "Dome door")).to_have_text("not active")
    gpiod.board.request(toggle=DOOR, edges=120, per_second=200)
    waiting.until(lambda: state_of(gpiod, "door")["value"] is not None, 5, "a reading")
    expect(events.locator("tbody tr")).to_have_count(50)
    gpiod.board.request(adjust=TRIGGER, distance_cm=60)


def test_all_off(visit: browsing.Visit, gpiod: gpio_daemon.Gpiod) -> None:
    page = visit().go("/gpio")
    for device in ("lamp", "colour", "heater", "fan"):
        call(gpiod, device, "forward" if device == "fan" else "on")
    expect(reading(page, "Red lamp")).to_have_text("on")
    page.get_by_role("button", name=f"All off: {NAME}").click()
    expect(page.get_by_text(f"{NAME}: off: lamp, ")).to_be_visible()
    for title in ("Red lamp", "colour", "Dew heater", "fan"):
        expect(reading(page, title)).to_have_text("off")
    assert [state_of(gpiod, device)["active"] for device in ("lamp", "colour", "heater", "fan")] == [False] * 4


def test_a_device_that_cannot_be_used_says_why(visit: browsing.Visit, gpiod: gpio_daemon.Gpiod) -> None:
    person = visit()
    person.allow_error("status of 409")  # not all pins can be had
    page = person.go("/gpio")
    page.get_by_role("button", name="Shut down").click()
    page.get_by_role("dialog").get_by_role("button", name="Shut down").click()
    expect(page.get_by_text("closed", exact=True)).to_be_visible()
    expect(reading(page, "Red lamp")).to_have_text("unknown")
    expect(card(page, "Red lamp").get_by_role("button", name="Toggle: Red lamp")).to_be_disabled()
    gpiod.board.request(fault="refuse_claim", pin=DIMMER, count=1000)
    page.get_by_role("button", name="Initialize").click()
    page.get_by_role("dialog").get_by_role("button", name="Initialize").click()
    expect(page.get_by_text("partial", exact=True)).to_be_visible()
    expect(card(page, "Flat field lamp").get_by_text(re.compile("^Cannot be used: "))).to_be_visible()
    expect(page.get_by_role("button", name="Toggle: Flat field lamp")).to_be_disabled()
    expect(page.get_by_role("button", name="Toggle: Red lamp")).to_be_enabled()
    gpiod.board.request(fault="clear")
    expect(page.get_by_text("ready", exact=True)).to_be_visible()
    expect(card(page, "Flat field lamp").get_by_text("Cannot be used")).to_be_hidden()
    person.check_accessible()


def test_a_daemon_killed_and_back(browser: Browser, tmp_path: Path) -> None:
    with running(tmp_path) as rig, browsing.person(browser, rig.web.url) as person:
        gpiod = rig.gpios[NAME]
        person.log_in()
        person.allow_error("status of 50")
        page = person.go("/gpio")
        value = form(page, "Flat field lamp", "Value")
        value.get_by_label("value").fill("0.75")
        gpiod.kill()
        expect(page.get_by_text(re.compile("^Not reachable since "))).to_be_visible()
        expect(page.get_by_role("button", name="Toggle: Red lamp")).to_be_disabled()
        for button in (f"All off: {NAME}", "Stop: Red lamp", "Off: Red lamp"):
            expect(page.get_by_role("button", name=button)).to_be_enabled()
        page.get_by_role("button", name=f"All off: {NAME}").click()
        expect(page.get_by_role("alert").filter(has_text=NAME)).to_be_visible()
        gpiod.start()
        expect(page.get_by_text("Not reachable")).to_be_hidden()
        expect(value.get_by_label("value")).to_have_value("0.75")  # what was typed is still there
        value.get_by_role("button", name="Value").click()
        expect(reading(page, "Flat field lamp")).to_have_text("75 %")
        assert state_of(gpiod, "dimmer")["value"] == 0.75


def test_away_when_the_page_is_opened(browser: Browser, tmp_path: Path) -> None:
    with running(tmp_path) as rig, browsing.person(browser, rig.web.url) as person:
        gpiod = rig.gpios[NAME]
        gpiod.terminate()
        rig.web.terminate()
        rig.web.start()  # which has never heard of it
        person.log_in()
        page = person.go("/gpio")
        expect(page.get_by_text(re.compile("^Not reachable since "))).to_be_visible()
        gpiod.start()
        press(page, "On", "Red lamp")
        expect(reading(page, "Red lamp")).to_have_text("on")


def test_a_viewer_sees_what_others_do(visit: browsing.Visit, gpiod: gpio_daemon.Gpiod) -> None:
    operator, viewer = visit(), visit(user="vera")
    here, there = operator.go("/gpio"), viewer.go("/gpio")
    expect(there.get_by_text("you may look")).to_be_visible()
    expect(reading(there, "Red lamp")).to_have_text("off")
    press(here, "On", "Red lamp")
    expect(reading(there, "Red lamp")).to_have_text("on")
    expect(there.get_by_role("row").filter(has_text="changed").first).to_contain_text("Red lamp")
    assert there.locator("main").get_by_role("button").count() == 0
    assert there.locator("main input").count() == 0
    viewer.check_accessible()


def test_on_a_phone_all_off_stays_in_view(visit: browsing.Visit, gpiod: gpio_daemon.Gpiod) -> None:
    person = visit(phone=True)
    page = person.go("/gpio")
    page.get_by_role("button", name="On: Red lamp").tap()
    expect(reading(page, "Red lamp")).to_have_text("on")
    person.shoot("gpio-phone")
    for details in page.locator("details.method").all():
        details.evaluate("details => { details.open = true; }")
    person.check_fits()
    person.check_accessible()
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    everything = page.get_by_role("button", name=f"All off: {NAME}")
    expect(everything).to_be_in_viewport(ratio=1)
    everything.tap()
    expect(page.get_by_text(f"{NAME}: off: lamp, ")).to_be_visible()
    assert gpiod.board.line(LAMP)["level"] == 0
