"""The page of focusers, by a user's path: move, stop, doubt, a daemon that dies, and who may not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import browsing
import observatory
import pytest
import waiting
import webd
from playwright.sync_api import Browser, Locator, Page, Route, expect

FAR = 20_000
FAST = 5  # times the real speed, 61 steps/s
FIRST, SECOND = "focus1", "mirror"
PROBES = {"28ff000000000001": 3.25, "28ff000000000002": None}
NAMED = {
    "primary": {"label": "Primary mirror", "address": "28ff000000000001"},
    "tube": {"label": "Tube", "address": "28ff000000000002"},
}


@contextmanager
def running(folder: Path) -> Iterator[webd.Rig]:
    """Two focusers, one of them with fans and temperature probes, behind one webd; a viewer, vera."""
    limits = {"channels": [{"limits": [-FAR, FAR]}, {"limits": [0, 8000]}], "idle_loop_delay": 0.5, **webd.GATEWAY}
    fast = {"speed_factor": FAST, "steps_per_s": FAST * 61.03515625}
    second = {"firmware": "2023", "simulated_channels": 1, "simulated_probes": PROBES, "temperature_probes": NAMED}
    with ExitStack() as stack:
        rig = webd.Rig()
        rig.focusers[FIRST] = stack.enter_context(observatory.daemon(folder / FIRST, **limits, **fast))
        rig.focusers[SECOND] = stack.enter_context(
            observatory.daemon(folder / SECOND, **{**limits, "channels": [{}], **second})
        )
        behind = {name: (observatory.NAME, focuser.port) for name, focuser in rig.focusers.items()}
        rig.web = webd.Webd(folder / "web", {"focuser": behind})
        stack.callback(rig.web.close)
        rig.web.start()
        waiting.until(rig.all_reachable, 20, "webd to see its daemons")
        rig.web.user("vera", "viewer").close()
        yield rig


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webd.Rig]:
    """What all tests share that restart nothing."""
    with running(tmp_path_factory.mktemp("focus")) as rig:
        yield rig


@pytest.fixture
def focuser(site: webd.Rig) -> Iterator[observatory.Daemon]:
    """The first focuser, at rest with certain positions before and afterwards."""
    daemon = site.focusers[FIRST]
    yield daemon
    with daemon.connect() as remote:
        remote.stop_channel()
        waiting.until(lambda: remote.report_status()["state"] == "idle", 20, "the motors to stop")
        for channel in (1, 2):
            remote.confirm_position(channel)


def panel(page: Page, name: str = FIRST) -> Locator:
    return page.get_by_role("region", name=name, exact=True)


def channel(page: Page, number: int = 1, name: str = FIRST) -> Locator:
    return panel(page, name).get_by_role("region", name=f"Channel {number}", exact=True)


def move_to(card: Locator, steps: int) -> None:
    card.get_by_label("Move to").fill(str(steps))
    card.get_by_role("button", name="Move", exact=True).click()


def stop_button(page: Page, text: str = "Stop all", name: str = FIRST) -> Locator:
    return page.get_by_role("button", name=f"{text} of {name}")


def status_of(daemon: observatory.Daemon) -> dict[str, Any]:
    with daemon.connect() as remote:
        return remote.report_status()


def signed(steps: int) -> str:
    """A position as the page writes it."""
    return f"{steps:+d}" if steps else "0"


def stands(daemon: observatory.Daemon, number: int = 1) -> int:
    """Where a channel stands; waits for it to stand."""
    waiting.until(lambda: status_of(daemon)[f"moving_{number}"] is False, 20, "the motor to stand")
    position: int = status_of(daemon)[f"current_steps_{number}"]
    return position


def test_a_move_with_its_progress_and_its_end(visit: browsing.Visit, focuser: observatory.Daemon) -> None:
    person = visit()
    page = person.go("/focus")
    card = channel(page)
    expect(card.get_by_text("confirmed", exact=True)).to_be_visible()
    start = stands(focuser)
    card.get_by_role("button", name="+1000 steps", exact=True).click()
    expect(card.get_by_text(f"Moving to +{start + 1000}")).to_be_visible()
    expect(card.get_by_text(f"Arrived at +{start + 1000}")).to_be_visible()
    assert stands(focuser) == start + 1000
    expect(card.locator(".position")).to_have_text(f"+{start + 1000}")
    expect(card.get_by_role("button", name="+1000 steps", exact=True)).to_be_focused()
    far = start + 4000  # 10 s away: all that is seen of a move must be seen in time
    move_to(card, far)
    expect(card.get_by_text(f"Moving to +{far}")).to_be_visible()
    expect(card.get_by_text(re.compile(r"^[1-9]\d? %, to end at .* for anna \("))).to_be_visible()
    assert 0 < card.get_by_role("progressbar").evaluate("bar => bar.value") < 1
    expect(card.get_by_label("Move to")).to_be_disabled()
    person.shoot("focus-desktop")
    expect(card.get_by_text(f"Arrived at +{far}")).to_be_visible()
    assert stands(focuser) == far
    person.check_accessible()
    person.check_fits()


@pytest.mark.parametrize("by", ["all", "channel", "Escape", "cancel"])
def test_a_stop_stops_short_of_the_target(visit: browsing.Visit, focuser: observatory.Daemon, by: str) -> None:
    page = visit().go("/focus")
    card = channel(page)
    target = FAR if stands(focuser) < 0 else -FAR
    move_to(card, target)
    expect(card.get_by_text(f"Moving to {target:+d}")).to_be_visible()  # the range ends with "to +20000" too
    waiting.until(lambda: status_of(focuser)["moving_1"], 10, "the motor to move")
    match by:
        case "all":
            stop_button(page).click()
        case "channel":
            stop_button(page, "Stop 1").click()
        case "Escape":
            page.keyboard.press("Escape")
        case _:
            card.get_by_role("button", name="Cancel").click()
    expect(card.get_by_text(f"on the way to {target:+d}")).to_be_visible()
    at = stands(focuser)
    assert abs(at) < FAR
    expect(card.locator(".position")).to_have_text(signed(at))
    assert status_of(focuser)["position_state_1"] == "confirmed"


def test_limits_and_step_sizes(visit: browsing.Visit, focuser: observatory.Daemon) -> None:
    person = visit()
    person.allow_error("status of 4")
    page = person.go("/focus")
    card = channel(page, 2)
    expect(card.get_by_text("From 0 to +8000")).to_be_visible()
    expect(card.get_by_role("button", name="-10 steps", exact=True)).to_be_disabled()
    move_to(card, 8001)
    expect(card.get_by_role("alert")).to_contain_text("outside its limits +0 to +8000 steps")
    card.get_by_label("Move to").fill("")
    card.get_by_role("button", name="Move", exact=True).click()
    expect(card.get_by_role("alert")).to_have_text("Enter a whole number of steps.")
    card.get_by_label("Smallest step").fill("3")
    card.get_by_role("button", name="+30 steps", exact=True).click()
    expect(card.get_by_text("Arrived at +30")).to_be_visible()
    card.get_by_role("button", name="-3 steps", exact=True).click()
    expect(card.get_by_text("Arrived at +27")).to_be_visible()
    assert stands(focuser, 2) == 27
    page.reload()
    expect(card.get_by_role("button", name="+300 steps", exact=True)).to_be_enabled()


def test_a_move_from_a_shell_is_seen_and_disturbs_no_typing(visit: browsing.Visit, focuser: observatory.Daemon) -> None:
    page = visit().go("/focus")
    card = channel(page)
    card.get_by_label("Move to").fill("123")
    target = stands(focuser) + 1200  # a way of seconds: what is seen of it is looked for once a second
    shell = focuser.start_focus("offset", "1", "1200")
    try:
        expect(card.get_by_text(f"Moving to {signed(target)}")).to_be_visible()
        expect(card.get_by_text("begun")).to_contain_text("by LocalHost")
        expect(card.get_by_text(f"Arrived at {signed(target)}")).to_be_visible()
    finally:
        shell.communicate(timeout=30)
    expect(card.get_by_label("Move to")).to_have_value("123")
    assert stands(focuser) == target


def test_an_answer_that_is_lost_moves_once_however_often_it_is_tried(
    visit: browsing.Visit, focuser: observatory.Daemon
) -> None:
    person = visit()
    person.allow_error("ERR_FAILED")
    page = person.go("/focus")
    card = channel(page)
    start = stands(focuser)
    asked: list[dict[str, Any]] = []

    def lose(route: Route) -> None:
        asked.append(route.request.post_data_json)
        if len(asked) == 1:
            route.fetch()  # it is done, but nobody hears of it
            route.abort()
        else:
            route.continue_()

    page.route("**/move", lose)
    card.get_by_role("button", name="+100 steps", exact=True).click()
    page.get_by_role("button", name="Try again").click()
    expect(card.get_by_text(f"Arrived at {signed(start + 100)}")).to_be_visible()
    assert stands(focuser) == start + 100
    assert len(asked) == 2
    assert asked[0] == asked[1]
    card.get_by_role("button", name="-100 steps", exact=True).click()
    expect(card.get_by_text(f"Arrived at {signed(start)}")).to_be_visible()
    assert asked[2]["request_id"] != asked[0]["request_id"]


def test_a_doubtful_position_is_confirmed_accepted_or_called_zero(browser: Browser, tmp_path: Path) -> None:
    with running(tmp_path) as rig, browsing.person(browser, rig.web.url) as person:
        focuser = rig.focusers[FIRST]
        focuser.terminate()
        (focuser.state_folder / "journal.json").unlink()
        focuser.start()
        person.log_in()
        page = person.go("/focus")
        card, other = channel(page), channel(page, 2)
        expect(card.get_by_text("uncertain", exact=True)).to_be_visible()
        expect(card.get_by_role("button", name="Move", exact=True)).to_be_disabled()
        person.check_accessible()
        person.shoot("focus-uncertain")
        # accepted for one move, by a tick
        card.get_by_label("Move once").check()
        card.get_by_role("button", name="+10 steps", exact=True).click()
        expect(card.get_by_text("Arrived at +10")).to_be_visible()
        assert stands(focuser) == 10
        expect(card.get_by_label("Move once")).not_to_be_checked()
        # confirmed: no, then yes
        other.get_by_role("button", name="Confirm position").click()
        page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
        assert status_of(focuser)["position_state_2"] == "uncertain"
        other.get_by_role("button", name="Confirm position").click()
        page.get_by_role("dialog").get_by_role("button", name="It is there").click()
        expect(other.get_by_text("confirmed", exact=True)).to_be_visible()
        assert status_of(focuser)["position_state_2"] == "confirmed"
        # called zero
        card.get_by_role("button", name="Call this 0").click()
        page.get_by_role("dialog").get_by_role("button", name="Call it 0").click()
        expect(card.locator(".position")).to_have_text("0")
        assert (status_of(focuser)["current_steps_1"], status_of(focuser)["position_state_1"]) == (0, "confirmed")


def test_a_daemon_killed_and_back(browser: Browser, tmp_path: Path) -> None:
    with running(tmp_path) as rig, browsing.person(browser, rig.web.url) as person:
        focuser = rig.focusers[FIRST]
        person.log_in()
        person.allow_error("status of 50")
        page = person.go("/focus")
        card = channel(page)
        move_to(card, FAR)
        expect(card.get_by_text("moving", exact=True)).to_be_visible()
        focuser.kill()
        expect(panel(page).get_by_text(re.compile("^Not reachable since "))).to_be_visible()
        expect(card.get_by_label("Move to")).to_be_disabled()
        expect(channel(page, 2).get_by_text("was confirmed", exact=True)).to_be_visible()
        expect(channel(page, 1, SECOND).get_by_label("Move to")).to_be_enabled()
        person.shoot("focus-away")
        expect(stop_button(page)).to_be_enabled()
        stop_button(page).click()
        expect(page.get_by_role("alert").filter(has_text=FIRST)).to_be_visible()
        focuser.start()
        expect(panel(page).get_by_text("Not reachable")).to_be_hidden()
        expect(card.get_by_text("moving", exact=True)).to_be_visible()  # the motor went on, and is followed
        expect(card.get_by_text(f"Moving to +{FAR}")).to_be_visible()
        stop_button(page).click()
        expect(card.get_by_text("confirmed", exact=True)).to_be_visible()
        assert abs(stands(focuser)) < FAR
        expect(card.get_by_label("Move to")).to_be_enabled()


def test_away_when_the_page_is_opened(browser: Browser, tmp_path: Path) -> None:
    with running(tmp_path) as rig, browsing.person(browser, rig.web.url) as person:
        focuser = rig.focusers[FIRST]
        focuser.terminate()
        rig.web.terminate()
        rig.web.start()  # which has never heard of it
        person.log_in()
        page = person.go("/focus")
        expect(panel(page).get_by_text(re.compile("^Not reachable since "))).to_be_visible()
        expect(stop_button(page)).to_be_enabled()
        focuser.start()
        expect(channel(page).get_by_text("confirmed", exact=True)).to_be_visible()
        expect(channel(page).get_by_label("Move to")).to_be_enabled()


def test_two_people_see_the_same(visit: browsing.Visit, focuser: observatory.Daemon) -> None:
    one, two = visit(), visit(user="vera")
    here, there = channel(one.go("/focus")), channel(two.go("/focus"))
    start = stands(focuser)
    there_page = two.page
    expect(panel(there_page).get_by_text("you may look")).to_be_visible()
    here.get_by_role("button", name="+100 steps", exact=True).click()
    for card in (here, there):
        expect(card.get_by_text(f"Arrived at {signed(start + 100)}")).to_be_visible()
    assert there_page.get_by_role("button", name=re.compile("Stop|Move|Cancel|Initialize|Fans")).count() == 0
    assert there_page.locator("main input").count() == 0
    there_page.keyboard.press("Escape")
    two.check_accessible()


def test_fans_temperatures_and_equipment(visit: browsing.Visit, site: webd.Rig) -> None:
    daemon = site.focusers[SECOND]
    page = visit().go("/focus")
    place = panel(page, SECOND)
    expect(place.get_by_text(re.compile(r"^primary 3\.[23] °C$"))).to_be_visible()
    expect(place.get_by_text("tube unknown")).to_be_visible()
    expect(place.get_by_text("Fans are off")).to_be_visible()
    place.get_by_role("button", name="Fans on").click()
    expect(place.get_by_text("Fans are on")).to_be_visible()
    assert daemon.simulator.state()["fans_on"] is True
    place.get_by_role("button", name="Fans off").click()
    expect(place.get_by_text("Fans are off")).to_be_visible()
    expect(place.get_by_role("button", name="Initialize")).to_be_disabled()
    place.get_by_role("button", name="Shut down").click()
    page.get_by_role("dialog").get_by_role("button", name="Shut down").click()
    expect(place.get_by_text("offline", exact=True)).to_be_visible()
    assert status_of(daemon)["state"] == "offline"
    card = channel(page, 1, SECOND)
    expect(card.get_by_text("not known now")).to_be_visible()
    expect(card.get_by_role("button", name="Call this 0")).to_be_disabled()
    expect(card.get_by_label("Move to")).to_be_disabled()
    place.get_by_role("button", name="Initialize").click()
    page.get_by_role("dialog").get_by_role("button", name="Initialize").click()
    expect(place.get_by_text("idle", exact=True)).to_be_visible()
    expect(card.get_by_role("button", name="Call this 0")).to_be_enabled()


def test_escape_closes_a_question_and_stops_nothing(visit: browsing.Visit, focuser: observatory.Daemon) -> None:
    page = visit().go("/focus")
    asked = []
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/stop") else None)
    channel(page).get_by_role("button", name="Call this 0").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    assert asked == []
    channel(page).get_by_label("Move to").press("Escape")
    expect(page.get_by_text("focus1: channel 1 is stopped")).to_be_visible()
    assert [url.split("/")[-2] for url in asked] == [FIRST]  # not the other focuser


def test_on_a_phone_stop_stays_in_view(visit: browsing.Visit, focuser: observatory.Daemon) -> None:
    person = visit(phone=True)
    page = person.go("/focus")
    expect(channel(page).get_by_text("confirmed", exact=True)).to_be_visible()
    person.shoot("focus-phone")
    person.check_fits()
    person.check_accessible()
    channel(page, 1, SECOND).get_by_role("button", name="Call this 0").scroll_into_view_if_needed()
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    for text in ("Stop 1", "Stop 2", "Stop all"):
        expect(stop_button(page, text)).to_be_in_viewport(ratio=1)
        box = stop_button(page, text).bounding_box()
        assert box is not None
        assert box["height"] >= 44
    target = FAR if stands(focuser) < 0 else -FAR
    move_to(channel(page), target)
    waiting.until(lambda: status_of(focuser)["moving_1"], 10, "the motor to move")
    stop_button(page).tap()
    expect(channel(page).get_by_text(f"on the way to {target:+d}")).to_be_visible()
    assert abs(stands(focuser)) < FAR
