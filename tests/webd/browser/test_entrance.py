"""Coming in: the first administrator, logging in and out, passwords that were given."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import browsing
import pytest
import webd
from playwright.sync_api import Browser, expect

GIVEN = "given by somebody"


@pytest.fixture(scope="module", autouse=True)
def _browser_is_whole(browser: Browser) -> None:
    """All processes of the browser run before the first test, which is to leave none."""
    browser.new_page().close()


@pytest.fixture
def web(tmp_path: Path) -> Iterator[webd.Webd]:
    """A new webd without daemons, whose log ends without a trace of a bug."""
    with webd.alone(tmp_path, administrator=False) as running:
        yield running


@pytest.fixture
def come(browser: Browser, web: webd.Webd) -> Iterator[browsing.Visit]:
    """come(phone=False): somebody who is not logged in."""
    with browsing.visits(browser, web.url) as visit:
        yield partial(visit, None)


@pytest.mark.parametrize("phone", [False, True], ids=["desktop", "phone"])
def test_the_first_administrator_is_made_by_the_printed_link(come: browsing.Visit, web: webd.Webd, phone: bool) -> None:
    person = come(phone=phone)
    person.allow_error("status of 401")
    person.allow_error("status of 422")
    page = person.go("/")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    expect(page.get_by_role("status")).to_contain_text("the link that webd has printed")
    page.get_by_label("Name").fill("anna")
    page.get_by_label("Password").fill(webd.PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_have_text("wrong name or password")

    link = re.search(r"http://\S+/setup\?token=\S+", web.log())
    assert link is not None

    def fill(name: str, password: str, again: str) -> None:
        page.get_by_label("Name").fill(name)
        page.get_by_label("Password", exact=True).fill(password)
        page.get_by_label("Password again").fill(again)
        page.get_by_role("button", name="Make the administrator").click()

    page.goto(link[0].replace("token=", "token=wrong"))
    fill("anna", webd.PASSWORD, webd.PASSWORD)
    expect(page.get_by_role("alert")).to_contain_text("this link is not, or no longer, valid")
    page.goto(link[0])
    person.check_accessible()
    person.check_fits()
    person.shoot(f"setup-{'phone' if phone else 'desktop'}")
    fill("anna", webd.PASSWORD, "another password")
    expect(page.get_by_role("alert")).to_have_text("the two passwords differ")
    fill("anna", "anna", "anna")  # shorter than the browser allows
    expect(page).to_have_url(re.compile("/setup"))
    fill("anna", "aaaaaaaaaaaa", "aaaaaaaaaaaa")
    expect(page.get_by_role("alert")).to_contain_text("not all the same")
    fill("anna", webd.PASSWORD, webd.PASSWORD)
    expect(page).to_have_url(f"{web.url}/live")
    with web.browser() as script:
        script.log_in("anna")
        assert script.get("/api/v1/session").json()["role"] == "administrator"

    late = come(phone=phone)
    late.go(link[0])
    expect(late.page.get_by_role("heading", name="Log in")).to_be_visible()
    expect(late.page.get_by_role("status")).to_have_count(0)


@pytest.mark.parametrize("theme", ["dark", "red", "light"])
def test_who_was_sent_to_the_login_comes_back(come: browsing.Visit, web: webd.Webd, theme: str) -> None:
    web.administrator().close()
    person = come()
    person.allow_error("status of 401")
    page = person.go("/system?x=1")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    page.evaluate("theme => { localStorage.setItem('theme', theme); }", theme)
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", theme)
    page.get_by_label("Name").fill(webd.ADMINISTRATOR)
    page.get_by_label("Password").fill("a wrong password")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("wrong name or password")
    person.check_accessible()
    person.check_fits()
    expect(page.get_by_label("Name")).to_have_value(webd.ADMINISTRATOR)
    expect(page.get_by_label("Password")).to_be_focused()
    page.keyboard.type(webd.PASSWORD)
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{web.url}/system?x=1")
    page.get_by_role("link", name="Log out").click()
    expect(page.get_by_role("link", name="Stay")).to_be_visible()
    person.check_accessible()
    page.get_by_role("link", name="Stay").click()
    expect(page.get_by_role("navigation", name="Pages")).to_be_visible()
    other = person.open()
    other.goto("/logout")
    other.get_by_role("button", name="Log out").click()
    expect(other.get_by_role("heading", name="Log in")).to_be_visible()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()  # by itself; that would cut a goto off
    page.goto("/system")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()


def test_who_guesses_is_told_to_wait(come: browsing.Visit, web: webd.Webd) -> None:
    web.administrator().close()
    person = come(phone=True)
    person.allow_error("status of 401")
    person.allow_error("status of 429")
    page = person.go("/login")
    for number in range(6):
        page.get_by_label("Name").fill(webd.ADMINISTRATOR)
        page.get_by_label("Password").fill(f"guess number {number}")
        with page.expect_response("**/login") as answer:
            page.get_by_role("button", name="Log in").click()
        if answer.value.status == 429:
            break
        expect(page.get_by_role("alert")).to_have_text("wrong name or password")
    assert answer.value.status == 429
    expect(page.get_by_role("alert")).to_have_text(re.compile(r"too many wrong passwords, try again in \d+ s"))
    person.check_accessible()
    person.check_fits()
    person.shoot("login-phone")
    page.get_by_label("Password").fill(webd.PASSWORD)  # not even with the right one now
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("too many wrong passwords")
    assert "what=login" in web.log() and "guess number" not in web.log()


def test_a_password_that_was_given_is_changed_first(come: browsing.Visit, web: webd.Webd) -> None:
    with web.administrator() as administrator:
        body = {"user": "vera", "role": "viewer", "password": GIVEN}
        administrator.post("/api/v1/users", json=body).raise_for_status()
    person = come()
    person.allow_error("status of 401")
    person.allow_error("status of 422")
    person.allow_error("Unexpected response code: 403")  # of a page's events, when its cookies are taken away
    page = person.go("/system")

    def log_in(password: str) -> None:
        page.get_by_label("Name").fill("vera")
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Log in").click()

    def change(present: str, new: str, again: str | None = None) -> None:
        page.get_by_label("Present password").fill(present)
        page.get_by_label("New password", exact=True).fill(new)
        page.get_by_label("New password again").fill(again or new)
        page.get_by_role("button", name="Change the password").click()

    log_in(GIVEN)
    for path in ("/live", "/account", "/system", "/"):
        person.go(path)
        expect(page.get_by_role("heading", name="Password of vera")).to_be_visible()
    expect(page.get_by_role("status")).to_contain_text("Somebody gave you this password")
    person.check_accessible()
    person.check_fits()
    person.shoot("password-desktop")
    change("not the one", webd.PASSWORD)
    expect(page.get_by_role("alert")).to_have_text("wrong name or password")
    change(GIVEN, webd.PASSWORD, "something else")
    expect(page.get_by_role("alert")).to_have_text("the two new passwords differ")
    change(GIVEN, webd.PASSWORD)
    expect(page).to_have_url(f"{web.url}/live")

    # once more, now of one's own will, while another login of the same user lasts
    with web.browser() as elsewhere:
        elsewhere.log_in("vera")
        person.go("/account")
        page.get_by_role("link", name="Change the password").click()
        expect(page.get_by_role("link", name="Leave it")).to_be_visible()
        change(webd.PASSWORD, "the next password")
        expect(page.get_by_role("navigation", name="Pages")).to_be_visible()
        assert elsewhere.get("/api/v1/session").status_code == 401
    page.context.clear_cookies()
    person.go("/account")
    log_in("the next password")
    expect(page).to_have_url(f"{web.url}/account")


def test_a_form_of_a_login_that_has_ended_leads_to_the_login(come: browsing.Visit, web: webd.Webd) -> None:
    web.administrator().close()
    person = come()
    person.allow_error("status of 403")
    page = person.log_in()
    page.goto("/logout")
    other = person.open()
    other.goto("/login")
    person.context.clear_cookies()
    other.reload()
    other.get_by_label("Name").fill(webd.ADMINISTRATOR)
    other.get_by_label("Password").fill(webd.PASSWORD)
    other.get_by_role("button", name="Log in").click()
    expect(other.get_by_role("navigation", name="Pages")).to_be_visible()
    page.get_by_role("button", name="Log out").click()  # of the login before
    expect(page.get_by_role("alert")).to_contain_text("made for another login")
    page.goto("/password")
    person.context.clear_cookies()
    for label in ("Present password", "New password", "New password again"):
        page.get_by_label(label, exact=True).fill(webd.PASSWORD)
    page.get_by_role("button", name="Change the password").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
